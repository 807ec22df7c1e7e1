"""Every data set there is a way to: embedded, generated, or read from raw files."""

from __future__ import annotations

from typing import Any

__all__ = ["datasets"]


def datasets() -> list[dict[str, Any]]:
    """What ``limbeck datasets`` prints."""
    from limbeck.data import READERS

    own = [
        {
            "name": "digits",
            "how": "embedded",
            "description": "handwritten digits, each with a spoken one, made offline on first use",
        },
        {
            "name": "rooms",
            "how": "generated",
            "description": "depth maps of ten kinds of furnished rooms with the kind's name, rendered on first use",
        },
        {"name": "toy", "how": "generated", "description": "class means known in closed form, for tests"},
    ]
    read = [{"name": n, "how": "prepare", "description": r.description} for n, r in READERS.items()]
    return own + read

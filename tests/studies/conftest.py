"""A study that takes seconds, and what is there after it."""

from __future__ import annotations

import json

import pytest

from tests.conftest import SMALL

TINY = {
    "per_class": [1, 2],
    "methods": [
        "random",
        {"name": "dm", "settings": {"lr": 0.1}},
        {"name": "dm", "label": "DM, two steps", "settings": {"steps": 2}},
    ],
    "seeds": 0,
    "settings": {"steps": 4, "group": 4, "real_group": 4, **SMALL},
    "evaluate": {
        "protocol": "recognition-avdd", "seeds": "0:2", "threads": 1, "device": "cpu", "kernels": "literal",
    },
    "baseline": "random",
}  # fmt: skip


@pytest.fixture
def tiny(toy) -> dict:
    """The study, as its file says it."""
    return json.loads(json.dumps({"data": str(toy.path), **TINY}))

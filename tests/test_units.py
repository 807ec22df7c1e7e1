from __future__ import annotations

import pytest

from limbeck.units import size


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e9, "5.0 GB"), (2.5e15, "2500.0 TB")],
)
def test_bytes_for_people(count, words):
    assert size(count) == words

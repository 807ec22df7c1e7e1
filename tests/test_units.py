from __future__ import annotations

import pytest

from limbeck.units import duration, size


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e9, "5.0 GB"), (2.5e15, "2500.0 TB")],
)
def test_bytes_for_people(count, words):
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.017, "0.02 s"), (0.42, "0.4 s"), (90, "90 s"), (2700, "45 min"), (11_520, "3.2 h")],
)
def test_seconds_for_people(seconds, words):
    assert duration(seconds) == words

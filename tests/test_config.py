from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from limbeck.config import build, settings_hash
from limbeck.errors import ConfigError


@dataclass(frozen=True)
class Example:
    count: int = 1
    rate: float | None = 0.5
    mode: Literal["a", "b"] = "a"
    names: tuple[str, ...] | None = None


def test_values_become_a_settings_object():
    assert build(Example, {"count": 2, "rate": 1, "names": ["x"]}) == Example(2, 1, "a", ("x",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 2}, "Did you mean 'count'"),
        ({"count": 2.5}, "a whole number"),
        ({"count": True}, "a whole number"),
        ({"rate": "fast"}, "It takes a number."),
        ({"mode": "c"}, "one of 'a', 'b'"),
        ({"names": [1]}, "words joined by commas"),
    ],
)
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build(Example, values, where="method.")
    assert "method." in str(caught.value)


def test_hash_ignores_the_order_of_keys_and_nothing_else():
    assert settings_hash({"a": 1, "b": 2}) == settings_hash({"b": 2, "a": 1})
    assert settings_hash({"a": 1}) != settings_hash({"a": 2})

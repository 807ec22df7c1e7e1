from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.rng import key, numpy_stream, stream

names = st.lists(st.one_of(st.text(max_size=6).filter(lambda t: "\x1f" not in t), st.integers(0, 9)), max_size=4)


@given(st.integers(0, 99), names, st.integers(0, 99), names)
def test_keys_are_equal_only_for_equal_names(seed, first, other_seed, second):
    same = seed == other_seed and [(type(n), n) for n in first] == [(type(n), n) for n in second]
    assert (key(seed, *first) == key(other_seed, *second)) == same


def test_streams_repeat_and_differ():
    assert torch.equal(torch.rand(5, generator=stream(0, "a", 1)), torch.rand(5, generator=stream(0, "a", 1)))
    assert not torch.equal(torch.rand(5, generator=stream(0, "a", 1)), torch.rand(5, generator=stream(0, "a", 2)))
    assert not torch.equal(torch.rand(5, generator=stream(0, "a", 1)), torch.rand(5, generator=stream(1, "a", 1)))
    assert np.array_equal(numpy_stream(3, "x").random(4), numpy_stream(3, "x").random(4))


def test_a_number_and_its_digits_are_two_names():
    assert key(0, 1) != key(0, "1")


def test_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    torch.rand(5, generator=stream(0, "a"))
    assert torch.equal(before, torch.random.get_rng_state())

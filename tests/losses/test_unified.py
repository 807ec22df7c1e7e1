"""Uni-, cross- and joint-modal terms against their literal twins, in every reading."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.characteristic import draw_frequencies, squared
from limbeck.losses.grouped import Grouped
from limbeck.losses.unified import CROSS, JOINT, cross_modal, hybrid_pairs, joint_modal, uni_modal
from limbeck.rng import stream
from tests.reference import characteristic_literal, unified_literal


def rows(seed, n, d=3):
    return torch.randn(n, d, generator=stream(seed, "rows"), dtype=torch.float64)


def grouped(seed, counts, d=3, names=("audio", "video")):
    return Grouped({name: rows(seed + 7 * i, sum(counts), d) for i, name in enumerate(names)}, tuple(counts))


def frequencies(width):
    return draw_frequencies(6, width, stream(width, "frequencies")).double()


def cfd_of(width):
    return lambda x, n, y, m: squared(x, n, y, m, frequencies(width))


def literal_cfd(x, y):
    return characteristic_literal.squared(x, y, frequencies(len(x[0])).tolist())


def draws(seed=0, classes=2):
    return [stream(seed, "draws", k) for k in range(classes)]


sizes = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3)


@given(st.integers(0, 1000), sizes, st.integers(2, 4))
@settings(deadline=None, max_examples=25)
def test_every_reading_is_its_equation_row_by_row(seed, counts, d):
    n, m = zip(*counts, strict=True)
    real, synthetic = grouped(seed, n, d), grouped(seed + 1, m, d)
    (i, j), pairs = hybrid_pairs(n, m, draws(seed, len(n)))
    expected = {("cross", reading): 0.0 for reading in CROSS} | {("joint", reading): 0.0 for reading in JOINT}
    uni, at = 0.0, [0, 0, 0]
    for k in range(len(n)):
        sides = [
            side.rows[name][at[s] : at[s] + size].tolist()
            for s, (side, size) in enumerate(((real, n[k]), (synthetic, m[k])))
            for name in ("audio", "video")
        ]
        here = slice(at[2], at[2] + pairs[k])
        chosen = list(zip((i[here] - at[0]).tolist(), (j[here] - at[1]).tolist(), strict=True))
        for term, reading in expected:
            if term == "cross":
                expected[term, reading] += unified_literal.cross(reading, *sides, literal_cfd, chosen)
            else:
                expected[term, reading] += unified_literal.joint(reading, *sides, literal_cfd)
        uni += literal_cfd(sides[0], sides[2]) + literal_cfd(sides[1], sides[3])
        at = [at[0] + n[k], at[1] + m[k], at[2] + pairs[k]]
    assert uni_modal(real, synthetic, cfd_of).item() == pytest.approx(uni, rel=1e-9)
    for reading in CROSS:
        found = cross_modal(real, synthetic, reading, cfd_of, draws(seed, len(n))).item()
        assert found == pytest.approx(expected["cross", reading], rel=1e-9, abs=1e-12)
    for reading in JOINT:
        found = joint_modal(real, synthetic, reading, cfd_of).item()
        assert found == pytest.approx(expected["joint", reading], rel=1e-9, abs=1e-12)


def terms(real, synthetic):
    yield "uni", uni_modal(real, synthetic, cfd_of)
    for reading in CROSS:
        yield f"cross {reading}", cross_modal(real, synthetic, reading, cfd_of, draws())
    for reading in JOINT:
        yield f"joint {reading}", joint_modal(real, synthetic, reading, cfd_of)


def test_the_order_of_modalities_does_not_matter():
    names = ("audio", "text", "video")
    real, synthetic = (grouped(seed, counts, names=names) for seed, counts in ((0, (4, 2)), (1, (2, 3))))
    turned = [Grouped(dict(reversed(side.rows.items())), side.counts) for side in (real, synthetic)]
    for (name, one), (_, other) in zip(terms(real, synthetic), terms(*turned), strict=True):
        assert other.item() == pytest.approx(one.item(), rel=1e-12), name


def test_three_modalities_are_taken_pair_by_pair():
    real, synthetic = (grouped(seed, (4, 2), names=("audio", "text", "video")) for seed in (0, 1))

    def of(*names):
        return [Grouped({name: side.rows[name] for name in names}, side.counts) for side in (real, synthetic)]

    pairs = (of("audio", "text"), of("audio", "video"), of("text", "video"))
    for reading in JOINT:
        whole = joint_modal(real, synthetic, reading, cfd_of).item()
        assert whole == pytest.approx(sum(joint_modal(*two, reading, cfd_of).item() for two in pairs))
    for reading in CROSS:
        if reading != "distribution":  # which draws for one pair after the other
            whole = cross_modal(real, synthetic, reading, cfd_of, draws()).item()
            assert whole == pytest.approx(sum(cross_modal(*two, reading, cfd_of, draws()).item() for two in pairs))


@pytest.mark.parametrize("number", range(1 + len(CROSS) + len(JOINT)))
def test_gradients_to_the_synthetic_rows(number):
    real, leaves = grouped(0, (2, 1)), tuple(rows(seed, 3).requires_grad_() for seed in (5, 6))

    def term(a, v):
        found = terms(real, Grouped({"audio": a, "video": v}, (1, 2)))
        return next(value for i, (_, value) in enumerate(found) if i == number)

    assert torch.autograd.gradcheck(term, leaves)


@pytest.mark.parametrize("fault", ["one modality", "widths", "names", "classes", "sides"])
def test_what_does_not_fit_is_an_error(fault):
    real = synthetic = grouped(0, (4, 2))
    if fault == "one modality":
        real = synthetic = grouped(0, (4, 2), names=("audio",))
        assert uni_modal(real, synthetic, cfd_of) == 0
    elif fault == "widths":
        real = synthetic = Grouped({"audio": rows(0, 4), "video": rows(0, 4, 5)}, (4,))
        assert uni_modal(real, synthetic, cfd_of) == 0
    else:
        other = {"names": (0, (4, 2), 3, ("audio", "text")), "classes": (0, (6,)), "sides": (0, (4, 2), 5)}[fault]
        synthetic = grouped(*other)
        with pytest.raises(ShapeError):
            uni_modal(real, synthetic, cfd_of)
    with pytest.raises(ShapeError):
        cross_modal(real, synthetic, "paper", cfd_of, draws())
    with pytest.raises(ShapeError):
        joint_modal(real, synthetic, "distribution", cfd_of)


def test_unknown_readings():
    real = grouped(0, (4, 2))
    with pytest.raises(ConfigError, match="Did you mean 'all_pairs_cosine'"):
        cross_modal(real, real, "all_pair_cosine", cfd_of, draws())
    with pytest.raises(ConfigError, match="Did you mean 'as_released'"):
        joint_modal(real, real, "as_release", cfd_of)

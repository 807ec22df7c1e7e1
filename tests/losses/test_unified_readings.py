"""What sets the readings of the cross- and joint-modal terms apart."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from limbeck.losses.characteristic import characteristic, draw_frequencies, squared
from limbeck.losses.grouped import Grouped, class_means
from limbeck.losses.unified import cross_modal, hybrid_pairs, joint_modal
from limbeck.rng import stream


def rows(seed, n, d):
    return torch.randn(n, d, generator=stream(seed, "rows"), dtype=torch.float64)


def around(seed, n, d, spread):
    """Unit rows near one direction."""
    return F.normalize(F.normalize(rows(seed + 100, 1, d), dim=1) + spread * rows(seed, n, d) / d**0.5, dim=1)


def pair(seed, n=8, d=16, spread=1.0):
    return Grouped({"a": around(seed, n, d, spread), "v": around(seed + 1, n, d, spread)}, (n,))


def cfd_of(width):
    return lambda x, n, y, m: squared(x, n, y, m, draw_frequencies(256, width, stream(width, "t")).double())


def cross(real, synthetic, reading, seed=0):
    return cross_modal(real, synthetic, reading, cfd_of, [stream(seed, "draws")]).item()


def test_equal_sets_are_at_zero_where_the_docs_say_so():
    real, other = pair(0), pair(10)
    assert cross(real, real, "paper") == pytest.approx(0, abs=1e-12)
    assert cross(real, real, "hybrid_means") == 0
    for reading in ("paper", "distribution", "hybrid_means"):
        assert joint_modal(real, real, reading, cfd_of).item() == pytest.approx(0, abs=1e-12)
        assert joint_modal(real, other, reading, cfd_of).item() > 1e-3
    assert cross(real, other, "paper") > 1e-3


def test_all_pairs_of_cosines_fall_when_the_synthetic_set_collapses():
    """Spec 3.4, width 256 and 128 rows: 0.365 at equal sets, 0.203 at one direction, which is 1 - q^2 and 1 - q."""
    n, d = 128, 256
    signs = rows(3, n, d).sign()  # products of one item's rows are then like those of another's
    a = F.normalize(rows(0, 1, d).abs() + 0.6 * rows(1, n, d).abs(), dim=1) * signs
    v = F.normalize(rows(2, 1, d).abs() + 0.6 * rows(4, n, d).abs(), dim=1) * signs
    real = Grouped({"a": a, "v": v}, (n,))
    mean = F.normalize(a * v, dim=1).mean(0)
    collapsed = Grouped({"a": mean.sqrt()[None], "v": mean.sqrt()[None]}, (1,))
    equal, lower = cross(real, real, "all_pairs_cosine"), cross(real, collapsed, "all_pairs_cosine")
    q = float(mean.norm())
    assert (equal, lower) == (pytest.approx(1 - q**2), pytest.approx(1 - q))
    assert lower < equal - 0.05
    assert cross(real, collapsed, "paper") < 1e-5  # equal means are all it asks for


def test_the_released_terms_have_no_floor_at_equal_sets():
    real = pair(0)
    longer = Grouped({name: 100 * x for name, x in real.rows.items()}, real.counts)
    found = [joint_modal(real, side, "as_released", cfd_of).item() for side in (real, longer)]
    assert found[1] < found[0] - 1  # unbounded below: synthetic means grow
    assert joint_modal(real, longer, "paper", cfd_of).item() == pytest.approx(0, abs=1e-12)
    wide = pair(0, d=1024)
    assert 0.9 < cross(wide, pair(10, d=1024), "as_released") < 1.1
    assert cross(wide, wide, "as_released") > 0.9


def test_hybrid_pairs_are_balanced_and_stay_in_their_class():
    x, y = (5, 1, 3), (2, 4, 3)
    draws = [stream(0, "p", k) for k in range(3)]
    (i, j), counts = hybrid_pairs(x, y, draws)
    assert counts == (5, 4, 3)
    for side, sizes in ((i, x), (j, y)):
        start = 0
        for part, n, pairs in zip(side.split(counts), sizes, counts, strict=True):
            seen = torch.bincount(part - start, minlength=n)
            assert len(seen) == n
            assert {pairs // n, -(-pairs // n)} >= set(seen.tolist())
            start += n
    last = hybrid_pairs(x[2:], y[2:], [stream(0, "p", 2)])[0]
    assert torch.equal(i[-3:] - 6, last[0])  # whichever classes stand before
    assert torch.equal(j[-3:] - 6, last[1])
    assert not torch.equal(i, hybrid_pairs(x, y, [stream(1, "p", k) for k in range(3)])[0][0])


def test_hybrid_pairs_have_the_characteristic_function_of_all_pairs_on_average():
    """Which is the product of the two sides' own, as sums of independent rows have."""
    a, w, t = rows(0, 6, 4), rows(1, 4, 4), draw_frequencies(8, 4, stream(0, "t"), scale=0.5).double()
    found = []
    for seed in range(400):
        (i, j), counts = hybrid_pairs((6,), (4,), [stream(seed, "p")])
        found.append(torch.complex(*characteristic(a[i] + w[j], counts, t))[0])
    sides = [torch.complex(*characteristic(x, (len(x),), t))[0] for x in (a, w)]
    values = torch.view_as_real(torch.stack(found))
    error = values.std(0) / len(found) ** 0.5
    assert error.max() < 0.02
    assert ((values.mean(0) - torch.view_as_real(sides[0] * sides[1])).abs() < 4.5 * error + 1e-9).all()


@pytest.mark.parametrize("reading", ["paper", "as_released"])
def test_a_row_of_zeros_stays_finite(reading):
    real = pair(0)
    leaf = torch.zeros(2, 16, dtype=torch.float64, requires_grad=True)
    synthetic = Grouped({"a": leaf, "v": around(3, 2, 16, 1.0)}, (2,))
    total = cross_modal(real, synthetic, reading, cfd_of, [stream(0, "p")])
    total = total + joint_modal(real, synthetic, reading, cfd_of)
    (slope,) = torch.autograd.grad(total, leaf)
    assert total.isfinite()
    assert slope.isfinite().all()


def test_only_means_count_in_the_paper_reading():
    """Synthetic rows that differ but have the class's means are at zero: the term is a matching of means."""
    real = pair(0)
    means = {name: class_means(x, real.counts) for name, x in real.rows.items()}
    synthetic = Grouped({name: x.expand(3, -1) for name, x in means.items()}, (3,))
    assert joint_modal(real, synthetic, "paper", cfd_of).item() == pytest.approx(0, abs=1e-12)
    assert joint_modal(real, synthetic, "distribution", cfd_of).item() > 1e-3

from __future__ import annotations

import pytest
import torch

from limbeck.errors import ShapeError
from limbeck.losses.grouped import Grouped, class_means, unit
from limbeck.rng import stream


def rows(seed, n, d=3):
    return torch.randn(n, d, generator=stream(seed, "rows"), dtype=torch.float64)


def test_means_class_by_class():
    x, y = rows(0, 6), rows(1, 6, 5)
    means = Grouped({"a": x, "v": y}, (1, 3, 2)).means()
    torch.testing.assert_close(means["a"], torch.stack([x[0], x[1:4].mean(0), x[4:].mean(0)]))
    assert means["v"].shape == (3, 5)


def test_unit_rows():
    found = Grouped({"a": 7 * rows(0, 4)}, (2, 2)).unit()
    torch.testing.assert_close(found.rows["a"], torch.nn.functional.normalize(rows(0, 4), dim=1))
    assert found.counts == (2, 2)


def test_a_row_of_zeros_has_no_direction_and_no_gradient():
    x = rows(0, 3)
    x[1] = 0
    x.requires_grad_()
    found = unit(x)
    (slope,) = torch.autograd.grad((found * rows(1, 3)).sum(), x)
    assert torch.equal(found[1], torch.zeros_like(found[1]))
    assert torch.equal(slope[1], torch.zeros_like(slope[1]))
    assert slope.isfinite().all()
    assert slope[0].norm() > 0


def test_gradient():
    x = rows(0, 4).requires_grad_()
    assert torch.autograd.gradcheck(unit, x)
    assert torch.autograd.gradcheck(lambda x: class_means(x, (3, 1)), x)


@pytest.mark.parametrize("counts", [(), (0, 4), (2, 3), (5, -1)])
def test_counts_that_do_not_fit(counts):
    with pytest.raises(ShapeError, match=r"v: .* must be"):
        Grouped({"v": rows(0, 4)}, counts)


def test_modalities_of_different_items():
    with pytest.raises(ShapeError, match=r"v: .* must be"):
        Grouped({"a": rows(0, 5), "v": rows(0, 4)}, (2, 3))


def test_other_shapes():
    with pytest.raises(ShapeError, match="no modality"):
        Grouped({}, (1,))
    with pytest.raises(ShapeError, match="must be"):
        Grouped({"a": torch.zeros(4, 3, 2)}, (4,))
    with pytest.raises(ShapeError, match="must be"):
        class_means(rows(0, 4), (3,))

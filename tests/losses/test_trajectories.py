from __future__ import annotations

import pytest
import torch

from limbeck.errors import NumericsError, ShapeError
from limbeck.losses.trajectories import trajectory_matching


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def test_by_hand():
    start, target = vector(0, 0), vector(3, 4)
    assert float(trajectory_matching(start, target, vector(3, 0))) == pytest.approx(16 / 25)
    assert float(trajectory_matching(start, target, start)) == 1
    assert float(trajectory_matching(start, target, target)) == 0


def test_the_scale_of_the_parameters_cancels():
    a, b, c = (torch.randn(9, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(3))
    assert float(trajectory_matching(7 * a, 7 * b, 7 * c)) == pytest.approx(float(trajectory_matching(a, b, c)))


def test_gradient():
    a, b, c = (torch.randn(9, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in range(3))
    assert torch.autograd.gradcheck(lambda x: trajectory_matching(a, b, x), c.requires_grad_())


def test_an_expert_that_stood_still():
    still = vector(1, 2)
    with pytest.raises(NumericsError, match="did not move"):
        trajectory_matching(still, still, vector(0, 0))
    with pytest.raises(NumericsError, match="not finite"):
        trajectory_matching(still, vector(1, float("nan")), vector(0, 0))


@pytest.mark.parametrize("shapes", [((3,), (3,), (4,)), ((3,), (2,), (3,)), ((1, 3), (1, 3), (1, 3))])
def test_vectors_only(shapes):
    with pytest.raises(ShapeError, match="must be"):
        trajectory_matching(*(torch.zeros(s) for s in shapes))

from __future__ import annotations

import pytest
import torch

from limbeck.encoders.patches import SOFTENING, PatchDictionary
from limbeck.errors import ConfigError, ShapeError
from limbeck.rng import stream

SMALL = PatchDictionary(2, 9, 11, atoms=3, side=4, stride=2)


def drawn(net: PatchDictionary, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random values for every weight, in double precision."""
    noise = stream(seed, "noise")
    return {
        k: (w + 0.3 * torch.randn(w.shape, generator=noise)).double() for k, w in net.init(stream(seed, "w")).items()
    }


def pictures(n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, *SMALL.input_shape, dtype=torch.float64, generator=stream(seed, "x"))


def slowly(net: PatchDictionary, weights: dict[str, torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
    """The class's equation, patch by patch."""
    rows, columns = net.positions
    responses = torch.zeros(rows, columns, net.atoms, dtype=picture.dtype)
    for i in range(rows):
        for j in range(columns):
            top, left = i * net.stride, j * net.stride
            p = picture[:, top : top + net.side, left : left + net.side].flatten()
            p = (p - p.mean()) / (p.var(correction=0) + net.contrast).sqrt()
            for k in range(net.atoms):
                responses[i, j, k] = (weights["filters"][k] @ p - weights["offset"][k]).clamp(min=0)
    cells = []
    for a in range(net.grid):
        for b in range(net.grid):  # the borders of adaptive pools: floor of where a cell begins, ceiling of its end
            down = slice(a * rows // net.grid, -(-(a + 1) * rows // net.grid))
            across = slice(b * columns // net.grid, -(-(b + 1) * columns // net.grid))
            cells.append(responses[down, across].mean((0, 1)))
    pooled = (torch.cat(cells) + SOFTENING).sqrt()
    return (pooled - weights["mean"]) * weights["scale"]


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_values_are_the_equations(grid: int) -> None:
    net = PatchDictionary(2, 9, 11, atoms=3, side=4, stride=2, grid=grid)
    weights, x = drawn(net), pictures()
    expected = torch.stack([slowly(net, weights, picture) for picture in x])
    found = net.embed(weights, x)
    assert found.shape == (3, net.embedding) == (3, 3 * grid**2)
    torch.testing.assert_close(found, expected)


def test_its_derivatives_are_right_twice() -> None:
    net = PatchDictionary(1, 5, 4, atoms=2, side=3, stride=1)
    weights = drawn(net)
    x = torch.randn(1, 1, 5, 4, dtype=torch.float64, generator=stream(0, "x")).requires_grad_()
    assert net.embed(weights, x).detach().std() > 0
    assert torch.autograd.gradcheck(lambda x: net.embed(weights, x), x)
    assert torch.autograd.gradgradcheck(lambda x: net.embed(weights, x), x)


def test_constant_patches_have_finite_derivatives() -> None:
    """A synthetic picture may be flat, at zero or far from it."""
    weights = {k: w.float() for k, w in drawn(SMALL).items()}
    for level in (0.0, 3.7, -1e4):
        x = torch.full((2, *SMALL.input_shape), level, requires_grad=True)
        y = SMALL.embed(weights, x)
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        (again,) = torch.autograd.grad(slope.square().sum(), x)
        assert all(bool(v.isfinite().all()) for v in (y, slope, again))


def test_brightness_and_nearly_contrast_do_not_count() -> None:
    weights, x = drawn(SMALL), pictures()
    torch.testing.assert_close(SMALL.embed(weights, x + 2), SMALL.embed(weights, x))
    strong = 100 * x
    torch.testing.assert_close(SMALL.embed(weights, 2 * strong), SMALL.embed(weights, strong), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(SMALL.embed(weights, 0.01 * x), SMALL.embed(weights, x), atol=0.01)


def test_batches_in_parts_are_whole_batches() -> None:
    weights = {k: w.float() for k, w in drawn(SMALL).items()}
    x = pictures(9).float()
    whole = SMALL.embed(weights, x)
    for n in (4, 5, 8):
        parts = torch.cat([SMALL.embed(weights, part) for part in x.split(n)])
        torch.testing.assert_close(parts, whole)
    assert SMALL.embed(weights, x[:0]).shape == (0, SMALL.embedding)


def test_weights_are_as_the_shapes_say() -> None:
    weights = SMALL.init(stream(0, "w"))
    assert {k: tuple(w.shape) for k, w in weights.items()} == SMALL.shapes
    assert torch.equal(weights["filters"], SMALL.init(stream(0, "w"))["filters"])
    others = [PatchDictionary(2, 9, 11, atoms=3, side=4), PatchDictionary(2, 9, 11, atoms=3, side=4, contrast=0.1)]
    assert len({SMALL.id, *(PatchDictionary(2, 9, 11, 3, 4, s).id for s in (1, 3)), others[1].id}) == 4
    assert others[0].id == SMALL.id


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError, match="do not fit items of 6 x 6"):
        PatchDictionary(3, 6, 6)
    with pytest.raises(ConfigError, match="a dictionary of 0 patches"):
        PatchDictionary(3, 64, 64, atoms=0)
    with pytest.raises(ShapeError, match="takes items of shape"):
        SMALL.embed(drawn(SMALL), torch.zeros(2, 3, 9, 11, dtype=torch.float64))

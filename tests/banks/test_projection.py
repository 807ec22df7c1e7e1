from __future__ import annotations

import pytest
import torch

from limbeck.banks.projection import Projection
from limbeck.errors import ConfigError, ShapeError
from limbeck.rng import stream


def weights_of(projection: Projection, seed: int = 0) -> dict[str, torch.Tensor]:
    return {k: w.double() for k, w in projection.init(stream(seed, "p")).items()}


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_a_projection_is_its_layers_and_differentiable(kind: str) -> None:
    projection = Projection(5, kind, 3)  # type: ignore[arg-type]
    weights, z = weights_of(projection), torch.randn(4, 5, dtype=torch.float64, generator=stream(0, "z"))
    if kind == "mlp":
        inner = torch.clamp(z @ weights["first.weight"].T + weights["first.bias"], min=0)
        expected = inner @ weights["second.weight"].T + weights["second.bias"]
    else:
        expected = z @ weights["weight"].T + weights["bias"]
    torch.testing.assert_close(projection(weights, z), expected)
    assert {k: tuple(w.shape) for k, w in weights.items()} == projection.shapes
    leaves = [z.requires_grad_(), *(w.requires_grad_() for w in weights.values())]
    assert torch.autograd.gradcheck(lambda x, *w: projection(dict(zip(weights, w, strict=True)), x), leaves)


def test_stacked_maps_are_maps_of_their_own() -> None:
    projection = Projection(5, "mlp", 3)
    alone = [weights_of(projection, seed) for seed in range(3)]
    z = torch.randn(3, 4, 5, dtype=torch.float64, generator=stream(0, "z"))
    together = projection({k: torch.stack([w[k] for w in alone]) for k in alone[0]}, z)
    for t in range(3):
        torch.testing.assert_close(together[t], projection(alone[t], z[t]))


def test_layers_start_as_pytorchs() -> None:
    for projection, bound in ((Projection(400, "mlp", 100), 400**-0.5), (Projection(400, "linear"), 400**-0.5)):
        first = next(iter(projection.init(stream(0, "p")).values()))
        assert 0.98 * bound < float(first.abs().max()) <= bound
    second = Projection(400, "mlp", 100).init(stream(0, "p"))["second.weight"]
    assert 0.098 < float(second.abs().max()) <= 0.1


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'linear'"):
        Projection(5, "liner")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="1 or more"):
        Projection(5, hidden=0)
    projection = Projection(5)
    with pytest.raises(ShapeError, match="takes 5 features"):
        projection(projection.init(stream(0, "p")), torch.zeros(2, 4))

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from limbeck.encoders import ProjectionHead
from limbeck.errors import ConfigError, ShapeError
from limbeck.rng import stream


class Literal(nn.Module):
    """The text head as the papers' code builds it."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.projection, self.fc = nn.Linear(features, width), nn.Linear(width, width)
        self.gelu, self.dropout, self.layer_norm = nn.GELU(), nn.Dropout(0.1), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        projected = self.projection(x)
        return self.layer_norm(projected + self.dropout(self.fc(self.gelu(projected))))


def literal(head: ProjectionHead, weights: dict[str, torch.Tensor]) -> Literal:
    names = {"1": "projection", "2": "fc", "norm": "layer_norm"}
    kinds = {"scale": "weight", "shift": "bias", "weight": "weight", "bias": "bias"}
    module = Literal(head.features, head.width).double().eval()
    renamed = {f"{names[k.partition('.')[0]]}.{kinds[k.partition('.')[2]]}": w for k, w in weights.items()}
    module.load_state_dict(renamed, strict=True)
    return module


def drawn(head: ProjectionHead) -> dict[str, torch.Tensor]:
    noise = stream(1, "noise")
    return {k: (w + 0.1 * torch.randn(w.shape, generator=noise)).double() for k, w in head.init(stream(0, "h")).items()}


def test_values_and_gradients_are_those_of_the_plain_module() -> None:
    head = ProjectionHead(7, 5)
    weights = drawn(head)
    module = literal(head, weights)
    held = {k: w.clone().requires_grad_() for k, w in weights.items()}
    x = torch.randn(6, 7, dtype=torch.float64, generator=stream(0, "x"))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = head.embed(held, ours), module(theirs)
    torch.testing.assert_close(y, expected)
    y.square().sum().mul(0.5).backward()
    (expected * expected.detach()).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for own, their in zip(held.values(), module.parameters(), strict=True):
        torch.testing.assert_close(own.grad, their.grad)


def test_its_derivatives_are_right_twice() -> None:
    head = ProjectionHead(3, 4)
    weights = drawn(head)
    leaves = [torch.randn(2, 3, dtype=torch.float64, generator=stream(0, "x")), *weights.values()]
    leaves = [leaf.requires_grad_() for leaf in leaves]

    def run(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return head.embed(dict(zip(weights, values, strict=True)), x)

    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize(("width", "numbers"), [(2304, 7_087_104), (1000, 1_772_000)])
def test_it_is_as_large_as_the_papers(width: int, numbers: int) -> None:
    """On BERT's 768 numbers (spec 0.3)."""
    head = ProjectionHead(768, width)
    weights = head.init(stream(0, "h"))
    assert sum(w.numel() for w in weights.values()) == numbers
    assert (head.embedding, head.input_shape) == (width, (768,))


def test_layers_start_as_pytorchs() -> None:
    weights = ProjectionHead(400, 100).init(stream(0, "h"))
    for name, fan in (("1", 400), ("2", 100)):
        for part in ("weight", "bias"):
            largest = float(weights[f"{name}.{part}"].abs().max())
            assert 0.9 / math.sqrt(fan) < largest <= 1 / math.sqrt(fan)
    assert bool((weights["norm.scale"] == 1).all())
    assert not weights["norm.shift"].any()


def test_dropout_drops_a_tenth_of_the_second_layer_alone() -> None:
    head = ProjectionHead(6, 200)
    weights = drawn(head)
    x = torch.randn(50, 6, dtype=torch.float64, generator=stream(0, "x"))
    train = partial(head.embed_training, weights, x)
    torch.testing.assert_close(train(stream(0, "d")), train(stream(0, "d")), rtol=0, atol=0)
    assert not torch.equal(train(stream(0, "d")), train(stream(1, "d")))
    # what the module gives with the same mask in its dropout's place
    kept = torch.rand(50, 200, generator=stream(0, "d")) >= 0.1
    assert 0.08 < 1 - float(kept.double().mean()) < 0.12
    module = literal(head, weights)
    module.dropout.forward = lambda y: y * kept / 0.9  # type: ignore[method-assign]
    torch.testing.assert_close(train(stream(0, "d")), module(x))


def test_no_dropout_is_evaluation() -> None:
    head = ProjectionHead(6, 5, dropout=0.0)
    weights, x = drawn(head), torch.randn(3, 6, dtype=torch.float64, generator=stream(0, "x"))
    torch.testing.assert_close(head.embed_training(weights, x, stream(0, "d")), head.embed(weights, x))


def test_what_does_not_fit_is_an_error() -> None:
    for bad in ((0, 4), (4, 0)):
        with pytest.raises(ConfigError, match="a head from"):
            ProjectionHead(*bad)
    with pytest.raises(ConfigError, match="dropout 1"):
        ProjectionHead(4, 4, dropout=1.0)
    head = ProjectionHead(4, 3)
    with pytest.raises(ShapeError, match=r"items of shape \(4,\)"):
        head.embed(head.init(stream(0, "h")), torch.zeros(2, 5))

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.banks.frequencies import SamplingNetwork
from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.characteristic import squared
from limbeck.rng import stream


def rows(seed, n, d):
    return torch.nn.functional.normalize(torch.randn(n, d, generator=stream(seed, "rows")), dim=1)


def test_it_is_the_network_of_modules():
    network = SamplingNetwork(6, 20)
    weights = network.init(stream(0, "init"))
    layers = []
    for i in range(3):
        linear, norm = nn.Linear(6, 6), nn.BatchNorm1d(6)
        linear.weight.data, linear.bias.data = weights[f"{i}.linear.weight"], weights[f"{i}.linear.bias"]
        norm.weight.data, norm.bias.data = weights[f"{i}.norm.weight"], weights[f"{i}.norm.bias"]
        layers += [linear, norm, nn.Tanh() if i == 2 else nn.LeakyReLU(0.2)]
    noise = torch.randn(20, 6, generator=stream(1, "noise"))
    torch.testing.assert_close(network.frequencies(weights, stream(1, "noise")), nn.Sequential(*layers)(noise))


def test_frequencies_are_many_and_all_different():
    network = SamplingNetwork(8, 300)
    weights = network.init(stream(0, "init"))
    found = network.frequencies(weights, stream(1, "noise"))
    assert found.shape == (300, 8)
    assert len(found.unique(dim=0)) == 300
    assert found.abs().max() < 1
    assert torch.equal(found, network.frequencies(weights, stream(1, "noise")))
    assert not torch.equal(found, network.frequencies(weights, stream(2, "noise")))


def test_ascent_raises_the_discrepancy():
    network = SamplingNetwork(16, 64)
    weights = network.init(stream(0, "init"))
    x, y = rows(0, 32, 16), rows(1, 8, 16)
    found = []
    for _ in range(30):
        leaves = {name: w.requires_grad_() for name, w in weights.items()}
        value = squared(x, (32,), y, (8,), network.frequencies(leaves, stream(1, "noise")))
        slopes = torch.autograd.grad(value, list(leaves.values()))
        weights = {name: (w + 0.1 * s).detach() for (name, w), s in zip(leaves.items(), slopes, strict=True)}
        found.append(value.item())
    assert found[-1] > 1.2 * found[0]


def test_what_does_not_fit_is_an_error():
    for width, count in ((0, 4), (4, 1)):
        with pytest.raises(ConfigError, match="2 or more"):
            SamplingNetwork(width, count)
    with pytest.raises(ShapeError, match="width 5"):
        SamplingNetwork(5, 4).frequencies(SamplingNetwork(4, 4).init(stream(0, "init")), stream(0, "noise"))

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from limbeck.encoders import Linear
from limbeck.encoders.classic import VGG11, AlexNet, Classic, LeNet, ResNet18, classic_encoders
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Audio, Image, Text
from tests.reference.classic import (
    LiteralAlexNet,
    LiteralLeNet,
    LiteralResNet18,
    LiteralVGG11,
    load,
    pairs,
)

NETS: dict[str, type[Classic]] = {net.name: net for net in (LeNet, AlexNet, VGG11, ResNet18)}
TWINS = {"lenet": LiteralLeNet, "alexnet": LiteralAlexNet, "vgg11": LiteralVGG11, "resnet18": LiteralResNet18}
SHAPES = {"native": (3, 32, 32), "grey": (1, 28, 28), "spectrogram": (1, 64, 32), "small": (3, 16, 16)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def twin(net: Classic) -> nn.Module:
    if isinstance(net, VGG11) and net.height == 16:  # 16, 8, 4, 2: the fourth pool would leave one position
        return LiteralVGG11(net.in_channels, pools=(0, 1, 2, 4))
    return TWINS[net.name](net.in_channels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NETS)
def test_values_and_gradients_are_those_of_the_plain_module(name: str, shape: str) -> None:
    """In double precision; inert biases of the module stand at random values."""
    net = NETS[name](*SHAPES[shape])
    weights = {k: (w + 0.01 * torch.randn_like(w)).double() for k, w in net.init(generator()).items()}
    literal = load(twin(net).double(), weights)
    held = {k: w.requires_grad_() for k, w in weights.items()}
    x = torch.randn(2, *net.input_shape, generator=generator(1), dtype=torch.float64)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = net.embed(held, ours), literal(theirs)
    assert y.shape == (2, net.embedding)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-11)
    target = torch.randn_like(y)
    (y * target).sum().backward()
    (expected * target).sum().backward()
    # norms over four positions divide by small deviations: rounding grows more than elsewhere
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-9)
    for key, tensor in pairs(literal):
        torch.testing.assert_close(held[key].grad, tensor.grad, rtol=1e-6, atol=1e-9)
    assert set(held) == {key for key, _ in pairs(literal)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_there_are_as_many_parameters_as_in_the_plain_module(name: str, channels: int) -> None:
    net, literal = NETS[name](channels, 32, 32), TWINS[name](channels)
    ours = sum(w.numel() for w in net.init(generator()).values())
    inert = 2752 if name == "vgg11" else 0  # its convolution biases, 64 + 128 + 2 x 256 + 4 x 512
    assert ours + inert == sum(p.numel() for p in literal.parameters())
    classes = 10  # with the published classifier
    counts = {
        ("lenet", 1): 61_706, ("lenet", 3): 62_006, ("alexnet", 1): 1_865_802, ("alexnet", 3): 1_872_202,
        ("vgg11", 1): 9_229_962, ("vgg11", 3): 9_231_114, ("resnet18", 1): 11_172_810, ("resnet18", 3): 11_173_962,
    }  # fmt: skip
    assert ours + inert + classes * (net.embedding + 1) == counts[name, channels]


def test_widths_before_the_classifier() -> None:
    assert {n: net(3, 40, 32).embedding for n, net in NETS.items()} == {
        "lenet": 84, "alexnet": 3072, "vgg11": 512, "resnet18": 512,
    }  # fmt: skip
    assert AlexNet(3, 40, 32).layout == (192, (4, 4))


@pytest.mark.parametrize("name", NETS)
def test_initial_weights_have_the_distribution_of_pytorch_and_hang_on_the_generator_alone(name: str) -> None:
    net = NETS[name](3, 32, 32)
    state = torch.get_rng_state()
    ours, again, other = (net.init(generator(s)) for s in (3, 3, 4))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(ours[k], again[k]) for k in ours)
    assert not any(torch.equal(ours[k], other[k]) for k in ours if k.endswith((".weight", ".bias")))
    for key, theirs in pairs(TWINS[name](3)):
        if key.endswith((".scale", ".shift")):
            assert torch.equal(ours[key], theirs)
            continue
        for weight in (ours[key], theirs.detach()):
            bound = ours[key.replace("bias", "weight")][0].numel() ** -0.5
            assert weight.abs().max() <= bound
            if weight.numel() > 1000:
                assert weight.abs().max() > 0.99 * bound
                assert abs(float(weight.std()) * 3**0.5 / bound - 1) < 0.05


SMALLEST = {
    ("lenet", 1): 12, ("lenet", 3): 16, ("alexnet", 1): 4, ("alexnet", 3): 8, ("vgg11", 1): 2, ("vgg11", 3): 2,
    ("resnet18", 1): 9, ("resnet18", 3): 9,
}  # fmt: skip


@pytest.mark.parametrize(("name", "channels"), SMALLEST)
def test_the_smallest_items_are_told_apart_and_smaller_ones_refused(name: str, channels: int) -> None:
    side = SMALLEST[name, channels]
    net = NETS[name](channels, side, side)
    x = torch.randn(2, *net.input_shape, generator=generator(1))
    one, two = net.embed(net.init(generator()), x)
    assert float((one - two).detach().abs().max()) > 1e-4
    for height, width in ((side - 1, side), (side, side - 1)):
        with pytest.raises(ConfigError, match=f"{name} takes items of {side} x {side} and larger"):
            NETS[name](channels, height, width)


@pytest.mark.parametrize("name", NETS)
def test_several_at_once_are_the_networks_one_by_one(name: str) -> None:
    net = NETS[name](1, 16, 16)
    each = [net.init(generator(s)) for s in range(2)]
    x = torch.randn(2, 3, *net.input_shape, generator=generator(9))
    together = net.embed_many({k: torch.stack([w[k] for w in each]) for k in each[0]}, x)
    torch.testing.assert_close(together, torch.stack([net.embed(w, v) for w, v in zip(each, x, strict=True)]))


@pytest.mark.parametrize("name", NETS)
def test_low_precision_is_near_and_gives_float32(name: str) -> None:
    net = NETS[name](3, 32, 32)
    low = dataclasses.replace(net, precision="bf16")
    weights, x = net.init(generator()), torch.randn(4, 3, 32, 32, generator=generator(1))
    exact, rough = net.embed(weights, x), low.embed(weights, x)
    assert rough.dtype == torch.float32
    assert 1e-5 < float((exact - rough).norm() / exact.norm()) < 5e-2
    assert net.id == low.id


def test_every_modality_gets_one() -> None:
    modalities = {"image": Image(shape=(3, 16, 16)), "audio": Audio(shape=(1, 16, 20)), "text": Text(shape=(7,))}
    for net in NETS.values():
        found = classic_encoders(net, modalities)
        assert found == {"image": net(3, 16, 16), "audio": net(1, 16, 20), "text": Linear(7, net.features)}
    with pytest.raises(ConfigError):
        classic_encoders(LeNet, {})


def test_it_says_what_it_is_and_refuses_what_it_cannot_take() -> None:
    ids = {net(c, 32, w).id for net in NETS.values() for c in (1, 3) for w in (28, 32)}
    assert len(ids) == 16
    net = LeNet(1, 16, 16)
    with pytest.raises(ShapeError, match="lenet-1x16x16 takes items of shape"):
        net.embed(net.init(generator()), torch.zeros(2, 3, 16, 16))
    with pytest.raises(ConfigError, match="bf16"):
        partial(LeNet, precision="bf8")(1, 16, 16)

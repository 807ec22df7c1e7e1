from __future__ import annotations

import dataclasses

import pytest
import torch

from limbeck.encoders import ConvNet, Linear, encoders_for
from limbeck.encoders.build import picture_blocks
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Audio, Depth, Feature, Image, Text
from tests.reference.convnet import LiteralConvNet

NETS = {
    "picture": ConvNet(3, 16, 16, 2, 8),
    "odd picture": ConvNet(1, 15, 13, 2, 4),
    "sound": ConvNet(1, 20, 12, 3, 6, first_padding=3, grid=(4, 4)),
    "sound smaller than its grid": ConvNet(1, 8, 8, 3, 4, first_padding=3, grid=(4, 4)),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def twin(net: ConvNet, weights: dict[str, torch.Tensor]) -> LiteralConvNet:
    literal = LiteralConvNet(net.in_channels, net.blocks, net.channels, net.first_padding, net.grid)
    return literal.load(weights)


@pytest.mark.parametrize("name", NETS)
def test_values_and_gradients_are_those_of_the_plain_module_with_biases(name: str) -> None:
    net = NETS[name]
    weights = {k: w + 0.1 * torch.randn_like(w) for k, w in net.init(generator()).items()}
    literal = twin(net, weights)
    x = torch.randn(5, *net.input_shape, generator=generator(1))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    held = {k: w.requires_grad_() for k, w in weights.items()}
    y = net.embed(held, ours)
    expected = literal(theirs)
    assert y.shape == (5, net.embedding)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
    target = torch.randn_like(y)
    (y * target).sum().backward()
    (expected * target).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4)
    for key, gradient in literal.gradients().items():
        torch.testing.assert_close(held[key].grad, gradient, rtol=1e-3, atol=1e-3)


def test_sizes_of_the_papers() -> None:
    found = encoders_for({"audio": Audio(shape=(1, 128, 56)), "image": Image(shape=(3, 224, 224))})
    counts = {}
    for name, net in found.items():
        assert isinstance(net, ConvNet)
        assert net.embedding == 6272
        weights = net.init(generator())
        counts[name] = sum(w.numel() for w in weights.values()) + net.blocks * net.channels  # and their inert biases
        literal = LiteralConvNet(net.in_channels, net.blocks, net.channels, net.first_padding, net.grid)
        assert counts[name] == sum(p.numel() for p in literal.parameters())
    assert counts == {"audio": 297_216, "image": 595_200}
    audio, image = found["audio"], found["image"]
    assert isinstance(audio, ConvNet)
    assert isinstance(image, ConvNet)
    assert audio.maps == [(132, 60), (66, 30), (33, 15)]
    assert [h for h, _ in image.maps] == [224, 112, 56, 28, 14]


def test_initial_weights_have_the_distribution_of_pytorch() -> None:
    net = ConvNet(3, 16, 16, 2, 64)
    ours, theirs = net.init(generator()), LiteralConvNet(3, 2, 64, 1, None).layers
    for i in range(2):
        bound = (9 * (3 if i == 0 else 64)) ** -0.5
        for weight in (ours[f"{i}.conv"], theirs[4 * i].weight.detach()):
            assert weight.abs().max() <= bound
            assert weight.abs().max() > 0.99 * bound
            assert abs(float(weight.std()) * 3**0.5 / bound - 1) < 0.05
        assert torch.equal(ours[f"{i}.scale"], torch.ones(64))
        assert torch.equal(ours[f"{i}.shift"], torch.zeros(64))


def test_initial_weights_hang_on_the_generator_alone() -> None:
    net = ConvNet(1, 16, 16, 2, 4)
    torch.manual_seed(1)
    first = net.init(generator(3))
    torch.manual_seed(2)
    second = net.init(generator(3))
    other = net.init(generator(4))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["0.conv"], other["0.conv"])
    torch.manual_seed(2)
    state = torch.get_rng_state()
    net.init(generator(3))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", NETS)
def test_several_networks_in_one_pass_are_the_networks_one_by_one(name: str) -> None:
    net = NETS[name]
    each = [net.init(generator(s)) for s in range(3)]
    stacked = {k: torch.stack([w[k] for w in each]).requires_grad_() for k in each[0]}
    x = torch.randn(3, 4, *net.input_shape, generator=generator(9))
    together = net.embed_many(stacked, x)
    alone = torch.stack([net.embed(w, v) for w, v in zip(each, x, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert together.shape == (3, 4, net.embedding)
    together[1].sum().backward()
    gradient = stacked["0.conv"].grad
    assert gradient is not None
    assert gradient[1].abs().max() > 0
    assert torch.equal(gradient[[0, 2]], torch.zeros_like(gradient[[0, 2]]))


def test_linear_networks_in_one_pass_are_the_networks_one_by_one() -> None:
    net = Linear(5, 7)
    each = [net.init(generator(s)) for s in range(3)]
    x = torch.randn(3, 4, 5, generator=generator(9))
    together = net.embed_many({k: torch.stack([w[k] for w in each]) for k in each[0]}, x)
    torch.testing.assert_close(together, torch.stack([net.embed(w, v) for w, v in zip(each, x, strict=True)]))


def test_the_literal_kernels_can_be_differentiated_twice() -> None:
    net = ConvNet(1, 8, 8, 1, 2)
    weights = {k: w.double() for k, w in net.init(generator()).items()}

    def embed(x: torch.Tensor) -> torch.Tensor:
        block = torch.nn.functional.conv2d(x, weights["0.conv"], padding=1)
        from limbeck.encoders.convnet import literal_block

        return literal_block(block.float(), weights["0.scale"].float(), weights["0.shift"].float(), None)

    x = torch.randn(2, 1, 8, 8, generator=generator(), dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(embed(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert second.abs().max() > 0


def test_bf16_is_near_fp32_and_gives_float32() -> None:
    net = ConvNet(3, 16, 16, 2, 8)
    low = dataclasses.replace(net, precision="bf16")
    weights, x = net.init(generator()), torch.randn(4, 3, 16, 16, generator=generator(1))
    exact, rough = net.embed(weights, x), low.embed(weights, x)
    assert rough.dtype == torch.float32
    error = float((exact - rough).norm() / exact.norm())
    assert 1e-5 < error < 2e-2
    assert net.id == low.id


@pytest.mark.parametrize(
    ("side", "blocks"), [(4, 1), (8, 1), (16, 2), (28, 2), (32, 3), (56, 3), (64, 4), (112, 4), (224, 5), (30, 2)]
)
def test_picture_blocks_follow_the_rule(side: int, blocks: int) -> None:
    assert picture_blocks(side, side) == blocks
    if side % 7 == 0:
        assert ConvNet(3, side, side, blocks, 128).embedding == 6272


def test_widths_are_equal_whatever_the_modalities() -> None:
    sets = [
        {"image": Image(shape=(3, 32, 32)), "audio": Audio(shape=(1, 64, 32)), "text": Text(shape=(384,))},
        {"audio": Audio(shape=(1, 16, 16)), "depth": Depth(shape=(1, 30, 40))},
        {"image": Image(shape=(3, 64, 64)), "depth": Depth(shape=(1, 16, 16))},
        {"image": Image(shape=(1, 8, 8)), "audio": Audio(shape=(1, 8, 8)), "feature": Feature(shape=(3,))},
    ]
    for modalities in sets:
        found = encoders_for(modalities, channels=4)
        assert list(found) == list(modalities)
        assert len({e.embedding for e in found.values()}) == 1
        for name, encoder in found.items():
            x = torch.randn(2, *modalities[name].shape)
            assert encoder.embed(encoder.init(generator()), x).shape == (2, encoder.embedding)


def test_grids_without_a_picture() -> None:
    assert encoders_for({"audio": Audio(shape=(1, 128, 56))})["audio"].embedding == 6272
    assert encoders_for({"audio": Audio(shape=(1, 32, 32))}, channels=2)["audio"].embedding == 32
    assert encoders_for({"text": Text(shape=(10,))}, channels=2)["text"] == Linear(10, 32)


def test_id_says_the_architecture_and_not_the_kernels() -> None:
    net = ConvNet(3, 16, 16, 2, 8)
    assert net.id == dataclasses.replace(net, kernels="fused").id
    others = [
        dataclasses.replace(net, in_channels=1),
        dataclasses.replace(net, height=20),
        dataclasses.replace(net, blocks=1),
        dataclasses.replace(net, channels=4),
        dataclasses.replace(net, first_padding=3),
        dataclasses.replace(net, grid=(4, 4)),
    ]
    assert len({net.id, *(o.id for o in others)}) == 7


def test_wrong_items_and_settings_are_told() -> None:
    net = ConvNet(3, 16, 16, 2, 8)
    weights = net.init(generator())
    with pytest.raises(ShapeError, match=r"takes items of shape \(3, 16, 16\), the batch is \(2, 1, 16, 16\)"):
        net.embed(weights, torch.zeros(2, 1, 16, 16))
    with pytest.raises(ShapeError):
        net.embed(weights, torch.zeros(3, 16, 16))
    with pytest.raises(ShapeError):
        net.embed_many({k: w[None] for k, w in weights.items()}, torch.zeros(2, 3, 16, 16))
    with pytest.raises(ShapeError):
        Linear(3, 4).embed({}, torch.zeros(2, 4))
    with pytest.raises(ConfigError, match="shrinks to nothing"):
        ConvNet(3, 16, 16, 5)
    with pytest.raises(ConfigError, match="Did you mean 'fused'"):
        ConvNet(3, 16, 16, 2, kernels="fusd")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="bf16"):
        ConvNet(3, 16, 16, 2, precision="bf8")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        ConvNet(3, 16, 16, 0)
    with pytest.raises(ConfigError):
        Linear(0, 4)
    with pytest.raises(ConfigError):
        encoders_for({})

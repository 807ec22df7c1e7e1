from __future__ import annotations

import dataclasses

import pytest
import torch

from limbeck.encoders import ConvNet, fused
from limbeck.encoders.convnet import literal_block
from limbeck.errors import ConfigError, MissingDependencyError

needs_compiler = pytest.mark.skipif(not fused.available(), reason="no C++ compiler for torch.compile")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.detach() - b.detach()).norm() / b.detach().norm())


@needs_compiler
@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((6, 8, 8, 8), None),
        ((8, 8, 8, 8), (4, 4)),  # every size equal, and the grid is half the map
        ((5, 12, 9, 7), None),
        ((3, 20, 9, 8), (4, 4)),
        ((1, 8, 6, 4), None),
    ],
)
def test_a_block_is_the_literal_block(shape: tuple[int, ...], grid: tuple[int, int] | None) -> None:
    x = 30 + 5 * torch.randn(*shape, generator=generator())  # a mean that would cost a one-pass variance its digits
    scale, shift = torch.rand(shape[1], generator=generator(1)) + 0.5, torch.randn(shape[1], generator=generator(2))
    inputs = [[v.clone().requires_grad_() for v in (x, scale, shift)] for _ in range(2)]
    ours = fused.fused_block(fused.channels_last(inputs[0][0]), inputs[0][1], inputs[0][2], grid)
    theirs = literal_block(inputs[1][0], inputs[1][1], inputs[1][2], grid)
    assert ours.shape == theirs.shape
    assert relative(ours, theirs) < 1e-5
    target = torch.randn_like(theirs)
    for y in (ours, theirs):
        (y * target).sum().backward()
    for ours_in, theirs_in in zip(*inputs, strict=True):
        assert ours_in.grad is not None
        assert theirs_in.grad is not None
        assert relative(ours_in.grad, theirs_in.grad) < 2e-5


@needs_compiler
@pytest.mark.parametrize(
    "net", [ConvNet(1, 16, 16, 2, 32), ConvNet(1, 32, 16, 3, 32, first_padding=3, grid=(4, 4))], ids=["image", "audio"]
)
def test_a_network_is_the_literal_network(net: ConvNet) -> None:
    fast = dataclasses.replace(net, kernels="fused")
    weights = {k: w.requires_grad_() for k, w in net.init(generator()).items()}
    x = torch.randn(9, *net.input_shape, generator=generator(1), requires_grad=True)
    ours, theirs = fast.embed(weights, x), net.embed(weights, x)
    assert relative(ours, theirs) < 1e-5
    target = torch.randn(ours.shape, generator=generator(2))
    mine, literal = (torch.autograd.grad((y * target).sum(), [x, *weights.values()]) for y in (ours, theirs))
    for a, b in zip(mine, literal, strict=True):
        # a ReLU at zero may fall to either side, so a few of many thousand gradients may differ
        assert float(torch.cosine_similarity(a.flatten(), b.flatten(), 0)) > 0.9999
        assert relative(a, b) < 2e-2


@needs_compiler
def test_bf16_stays_near_and_keeps_its_dtypes() -> None:
    net = ConvNet(1, 16, 16, 2, 32)
    fast = dataclasses.replace(net, kernels="fused", precision="bf16")
    weights = {k: w.requires_grad_() for k, w in net.init(generator()).items()}
    x = torch.randn(9, 1, 16, 16, generator=generator(1), requires_grad=True)
    y = fast.embed(weights, x)
    assert y.dtype == torch.float32
    assert 1e-5 < relative(y, net.embed(weights, x)) < 2e-2
    gradients = torch.autograd.grad(y.square().sum(), [x, *weights.values()])
    assert all(g.dtype == torch.float32 for g in gradients)


@needs_compiler
def test_another_number_of_items_or_size_is_not_compiled_again() -> None:
    net = ConvNet(1, 16, 16, 2, 16, kernels="fused")
    weights = net.init(generator())

    def step(n: int, encoder: ConvNet = net) -> None:
        x = torch.randn(n, *encoder.input_shape, requires_grad=True)
        encoder.embed(weights, x).sum().backward()

    step(5)
    step(16)
    with torch.compiler.set_stance("fail_on_recompile"):
        for n in (2, 3, 17, 64):
            step(n)
        step(8, dataclasses.replace(net, height=32, width=48))


@needs_compiler
def test_several_networks_in_one_pass() -> None:
    net = ConvNet(1, 16, 16, 2, 16, kernels="fused")
    each = [net.init(generator(s)) for s in range(2)]
    x = torch.randn(2, 4, 1, 16, 16, generator=generator(9))
    together = net.embed_many({k: torch.stack([w[k] for w in each]) for k in each[0]}, x)
    torch.testing.assert_close(
        together, torch.stack([net.embed(w, v) for w, v in zip(each, x, strict=True)]), rtol=1e-4, atol=1e-5
    )


@needs_compiler
def test_differentiating_twice_is_an_error() -> None:
    net = ConvNet(1, 16, 16, 2, 16, kernels="fused")
    x = torch.randn(3, 1, 16, 16, requires_grad=True)
    (first,) = torch.autograd.grad(net.embed(net.init(generator()), x).square().sum(), x, create_graph=True)
    with pytest.raises(ConfigError, match="cannot be differentiated twice"):
        torch.autograd.grad(first.square().sum(), x)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    fused.available.cache_clear()
    monkeypatch.setattr(fused.shutil, "which", lambda _name: None)
    try:
        assert not fused.available()
        assert fused.default_kernels("cpu") == "literal"
    finally:
        fused.available.cache_clear()

    def broken(*_arguments: object) -> None:
        raise RuntimeError("InvalidCxxCompiler: no working C++ compiler found")

    monkeypatch.setattr(fused, "_compiled", lambda _function: broken)
    monkeypatch.setattr(fused, "_seen", set())
    with pytest.raises(MissingDependencyError, match="no working C"):
        fused.fused_block(torch.randn(2, 3, 4, 4), torch.ones(3), torch.zeros(3), None)


def test_one_channel_keeps_its_numbers_and_says_channels_last() -> None:
    x = torch.randn(3, 1, 5, 4)
    y = fused.channels_last(x)
    assert torch.equal(x, y)
    assert y.stride() == (20, 1, 4, 1)

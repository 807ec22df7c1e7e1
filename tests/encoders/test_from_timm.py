from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from limbeck.encoders import from_timm
from limbeck.encoders.from_timm import LibraryTower, cached_weights, classifier
from limbeck.encoders.towers import TOWERS, tower_kind
from limbeck.errors import ConfigError, MissingDependencyError, ShapeError
from limbeck.rng import stream
from tests.encoders.fake_timm import TINY, FakeTimm

needs_timm = pytest.mark.skipif(
    find_spec("timm") is None or find_spec("torchvision") is None, reason="timm and torchvision are not installed"
)
PUBLISHED = [name for name, kind in TOWERS.items() if kind.timm]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch):
    made = FakeTimm()
    monkeypatch.setitem(TOWERS, "tiny", TINY)
    monkeypatch.setattr(from_timm, "_timm", lambda: made)
    from_timm._module.cache_clear()
    yield made
    from_timm._module.cache_clear()


def test_it_is_the_module_with_the_weights_given(fake: FakeTimm) -> None:
    net = LibraryTower("tiny", 32, 40)
    weights = net.init(stream(0, "w"))
    assert {k: tuple(w.shape) for k, w in weights.items()} == net.shapes
    module = fake.create_model("tiny_net", pretrained=False)
    module.load_state_dict(weights, strict=True)
    x = torch.randn(2, 3, 32, 40, generator=stream(0, "x"))
    torch.testing.assert_close(net.embed(weights, x), module(x))
    assert (net.embedding, net.input_shape) == (5, (3, 32, 40))


@pytest.mark.usefixtures("fake")
def test_it_can_be_differentiated_twice() -> None:
    net = LibraryTower("tiny", 32, 32)
    weights = {k: w.double().requires_grad_() for k, w in net.init(stream(0, "w")).items()}
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64, generator=stream(0, "x"))
    step = torch.randn(x.shape, dtype=torch.float64, generator=stream(1, "x"))

    def size(scale: torch.Tensor) -> torch.Tensor:
        loss = functional(net, weights, x + scale * step).square().sum()
        slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        return sum((g.square().sum() for g in slopes), torch.zeros(()))

    assert torch.autograd.gradcheck(size, torch.zeros((), dtype=torch.float64, requires_grad=True))


def functional(net: LibraryTower, weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """:meth:`LibraryTower.embed` without its float32 at the end."""
    return torch.func.functional_call(from_timm._module(net.tower), weights, (x,), strict=True)


@pytest.mark.usefixtures("fake")
def test_fresh_weights_hang_on_their_stream_alone() -> None:
    net, before = LibraryTower("tiny", 32, 32), torch.random.get_rng_state()
    first, again, other = (net.init(stream(seed, "w")) for seed in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.usefixtures("fake")
def test_low_precision_is_close_and_not_the_same() -> None:
    net, low = LibraryTower("tiny", 32, 32), LibraryTower("tiny", 32, 32, "bf16")
    weights, x = net.init(stream(0, "w")), torch.randn(4, 3, 32, 32, generator=stream(0, "x"))
    full, rough = net.embed(weights, x), low.embed(weights, x)
    assert rough.dtype == torch.float32
    assert 0 < float((full - rough).abs().max()) < 0.02
    assert net.id == low.id


def test_what_a_network_does_not_take_is_an_error(fake: FakeTimm) -> None:
    with pytest.raises(ConfigError, match="32 x 32 and larger, not 31 x 64"):
        LibraryTower("tiny", 31, 64)
    with pytest.raises(ConfigError, match="Did you mean 'nfnet'"):
        LibraryTower("nfnett", 64, 64)
    with pytest.raises(ConfigError, match=r"none of timm's"):
        LibraryTower("patches", 64, 64)
    net = LibraryTower("tiny", 32, 32)
    with pytest.raises(ShapeError, match="takes items of shape"):
        net.embed(net.init(stream(0, "w")), torch.zeros(1, 3, 40, 40))
    fake.settings = {"fixed_input_size": True, "input_size": (3, 224, 224)}
    with pytest.raises(ConfigError, match="takes pictures of 224 x 224, not 64 x 64"):
        LibraryTower("tiny", 64, 64)


def test_values_beside_the_weights_are_refused(fake: FakeTimm, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.norm = True
    monkeypatch.setitem(TOWERS, "tiny", dataclasses.replace(TINY, parameters=None))
    with pytest.raises(ConfigError, match=r"values beside its weights \(norm\.running_mean\)"):
        _ = LibraryTower("tiny", 32, 32).shapes


@pytest.mark.usefixtures("fake")
def test_a_library_that_has_another_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOWERS, "tiny", dataclasses.replace(TINY, parameters=(200, 4)))
    with pytest.raises(ConfigError, match="has 197 weights in 4 tensors, the papers' 200 in 4"):
        _ = LibraryTower("tiny", 32, 32).shapes


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_a_missing_package_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from_timm._timm.cache_clear()
    monkeypatch.setattr(from_timm, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingDependencyError, match=f"{package} is not installed") as caught:
        LibraryTower("nfnet", 64, 64)
    assert "limbeck[timm]" in str(caught.value)


@pytest.mark.usefixtures("fake")
def test_weights_are_looked_for_and_never_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="comes with timm")
    asked: list[tuple[str, str]] = []

    def nothing(repository: str, name: str) -> None:
        asked.append((repository, name))

    monkeypatch.setattr(hub, "try_to_load_from_cache", nothing)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MissingDependencyError, match="weights of tiny are not on this machine") as caught:
        cached_weights("tiny")
    assert "owner/tiny" in str(caught.value)
    assert "--pretrained FILE" in str(caught.value)
    assert asked == [("owner/tiny", "model.safetensors"), ("owner/tiny", "pytorch_model.bin")]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "tiny.pth").touch()
    assert cached_weights("tiny") == tmp_path / "checkpoints" / "tiny.pth"
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda _, name: f"/hub/{name}")
    assert cached_weights("tiny") == Path("/hub/model.safetensors")
    assert classifier("tiny") == "head."


@needs_timm
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_papers_networks_are_as_published(name: str) -> None:
    """Numbers of weights (spec 0.3), the width of the output, gradients to pixels, and second ones."""
    published, side = tower_kind(name), 224 if name == "vit" else 64
    net = LibraryTower(name, side, side)
    weights = net.init(stream(0, "w"))
    assert (sum(w.numel() for w in weights.values()), len(weights)) == published.parameters
    x = torch.randn(1, *net.input_shape, generator=stream(0, "x")).requires_grad_()
    held = {k: w.requires_grad_() for k, w in weights.items()}
    y = net.embed(held, x)
    assert y.shape == (1, published.width)
    first = torch.autograd.grad(y.square().mean(), [x, *held.values()], create_graph=True)
    (second,) = torch.autograd.grad(sum(g.square().sum() for g in first), x)
    for slope in (first[0], second):
        assert bool(slope.isfinite().all())
        assert slope.abs().sum() > 0

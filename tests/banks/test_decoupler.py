from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.banks import decoupler, decoupler_training, pairs
from limbeck.banks.decoupler import DecouplerBank
from limbeck.banks.decoupler_training import DecouplerRecipe, features, train_decouplers
from limbeck.banks.pretrained import PretrainedBank
from limbeck.banks.projection import Projection
from limbeck.errors import ConfigError, FormatError, NumericsError, ShapeError
from limbeck.rng import stream
from limbeck.training import Recipe, Rows
from tests.reference import decoupling as literal

RECIPE = DecouplerRecipe(epochs=2, batch=32)
PROJECTION = Projection(6, "mlp", 4)


def some_features(n: int = 50, classes: int = 3, shift: float = 1.0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    labels = torch.arange(n) % classes
    centres = {m: torch.randn(classes, 6, generator=stream(1, m)) for m in ("image", "audio")}
    z = {m: torch.randn(n, 6, generator=stream(0, m)) + shift * c[labels] for m, c in centres.items()}
    return {m: x.half() for m, x in z.items()}, labels


def trained(which: list[int], recipe: DecouplerRecipe = RECIPE, member: int = 3) -> list[dict[str, Any]]:
    return train_decouplers(*some_features(), 3, PROJECTION, recipe, member=member, which=which)


def close(a: dict[str, Any], b: dict[str, Any], tolerance: float = 2e-3) -> None:
    for modality, own in a.items():
        for name, weight in own.items():
            torch.testing.assert_close(weight, b[modality][name], rtol=tolerance, atol=tolerance)


def test_decouplers_trained_together_are_those_trained_alone() -> None:
    together = trained([0, 1, 2, 3])
    for t in range(4):
        close(together[t], trained([t])[0])
    close(together[2], trained([2, 0])[0])
    assert not torch.equal(together[0]["image"]["first.weight"], together[1]["image"]["first.weight"])


def test_a_decoupler_is_the_plain_training_loop() -> None:
    cached, labels = some_features()
    start = decoupler_training._Together(cached, labels, 3, PROJECTION, RECIPE, 3, [1], torch.device("cpu")).weights
    orders = [torch.randperm(50, generator=stream(1, "decoupler", 3, "order", e)) for e in range(2)]
    maps, _ = literal.train_decoupler(
        {k: w[0].detach() for k, w in start.items()}, cached, labels, orders, 32, 1e-3, 3, RECIPE.losses
    )
    ours = trained([1])[0]
    for modality, own in ours.items():
        plain = maps[modality]
        expected = {"first.weight": plain[0].weight, "first.bias": plain[0].bias, "second.weight": plain[2].weight}
        for name, weight in expected.items():
            begun = start[f"{modality}/{name}"][0]
            assert (own[name] - begun).abs().max() > 1e-3
            torch.testing.assert_close(own[name].float(), weight.detach(), rtol=1e-3, atol=1e-4)


def test_prototypes_are_updated_after_the_step_and_can_be_exponential() -> None:
    cached, labels = some_features()
    run = decoupler_training._Together(cached, labels, 3, PROJECTION, RECIPE, 0, [0], torch.device("cpu"))
    assert run.prototypes.counts.sum() == 0
    run.epoch(0, None)
    assert run.prototypes.counts.tolist() == [[17, 17, 16]]
    longer = dataclasses.replace(RECIPE, epochs=4)  # a rounding of half precision must not hide it
    plain, exponential = trained([0], longer), trained([0], dataclasses.replace(longer, ema=0.0))
    assert not torch.equal(plain[0]["image"]["first.weight"], exponential[0]["image"]["first.weight"])


def test_common_parts_of_a_pair_come_together() -> None:
    cached, labels = some_features(96, shift=4.0)
    projection = Projection(6, "mlp", 16)
    recipe = DecouplerRecipe(epochs=20, batch=32, rate=1e-2)

    def agreement(maps: dict[str, Any]) -> float:
        z = [projection({k: w.float() for k, w in maps[m].items()}, x.float()) for m, x in cached.items()]
        similar = torch.nn.functional.cosine_similarity(z[0].unsqueeze(1), z[1].unsqueeze(0), dim=-1)
        same = labels.unsqueeze(1) == labels.unsqueeze(0)
        return float(similar[same].mean() - similar[~same].mean())

    fresh = {m: projection.init(stream(0, m)) for m in cached}
    (maps,) = train_decouplers(cached, labels, 3, projection, recipe, member=0, which=[0])
    assert agreement(maps) > agreement(fresh) + 0.5


def test_values_that_are_not_finite_are_named() -> None:
    with pytest.raises(NumericsError, match="decoupler 2 of member 3") as caught:
        trained([2], DecouplerRecipe(epochs=1, batch=32, rate=1e30))
    assert "epoch 0" in str(caught.value)
    with pytest.raises(NumericsError, match="decoupler 2 of member 3") as caught:
        trained([2], DecouplerRecipe(epochs=1, batch=50, rate=1e6))  # finite, but not in half precision
    assert "half precision" in str(caught.value)


@pytest.fixture(scope="module")
def bank(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMBECK_CACHE", str(tmp_path_factory.mktemp("banks")))
        patch.setattr(pairs, "BANK_RECIPE", Recipe(epochs=1, batch=32, optimiser="sgd", rate=0.1))
        return PretrainedBank.build(toy, members=3, channels=4)


@pytest.fixture
def calls(bank: PretrainedBank, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(member, decouplers) trained, in a folder that is empty at first."""
    import shutil

    shutil.rmtree(bank.path / "decouplers", ignore_errors=True)
    seen: list[tuple[int, list[int]]] = []

    def counted(*arguments: Any, member: int, which: Any, **settings: Any) -> Any:
        seen.append((member, list(which)))
        return train_decouplers(*arguments, member=member, which=which, **settings)

    monkeypatch.setattr(decoupler, "train_decouplers", counted)
    return seen


def build(toy: Any, bank: PretrainedBank, per_member: int = 2, **settings: Any) -> DecouplerBank:
    return DecouplerBank.build(toy, bank, per_member=per_member, hidden=8, **{"recipe": RECIPE, **settings})


def contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes()) for p in folder.glob("*.safetensors")}


def test_decouplers_stand_on_the_members_features(toy: Any, bank: PretrainedBank, calls: Any) -> None:
    found = build(toy, bank)
    assert calls == [(0, [0, 1]), (1, [0, 1]), (2, [0, 1])]
    data = Rows.labelled(toy, "train", toy.modalities)
    cached = features(bank.encoders, bank.weights(1), data, "cpu")
    for name, encoder in bank.encoders.items():
        expected = encoder.embed(bank.weights(1)[name], toy.batch(name, toy.rows("train")))
        torch.testing.assert_close(cached[name].float(), expected, rtol=1e-3, atol=1e-3)
    width = bank.encoders["image"].embedding
    expected = train_decouplers(cached, data.labels, 4, Projection(width, "mlp", 8), RECIPE, member=1, which=[0, 1])[1]
    ours = found.weights(1, 1)
    for modality, own in expected.items():
        for name, weight in own.items():
            assert ours[modality][name].dtype == torch.float32
            assert torch.equal(ours[modality][name], weight.float())
    z = torch.randn(5, width, generator=stream(0, "z")).requires_grad_()
    common = found.project(ours["audio"], z)
    assert common.shape == z.shape
    assert torch.autograd.grad(common.sum(), z)[0].abs().sum() > 0


def test_finished_decouplers_are_never_touched_again(toy: Any, bank: PretrainedBank, calls: Any) -> None:
    first = build(toy, bank, 1)
    before = contents(first.path)
    assert len(before) == 3
    more = build(toy, bank, 2)
    assert more.id == first.id
    assert calls[3:] == [(0, [1]), (1, [1]), (2, [1])]
    after = contents(more.path)
    assert {k: after[k] for k in before} == before
    build(toy, bank, 2)
    assert len(calls) == 6
    more.file(2, 0).write_bytes(more.file(2, 0).read_bytes()[:-4])
    with pytest.raises(FormatError, match="not readable"):
        more.weights(2, 0)
    build(toy, bank, 2)
    assert calls[6:] == [(2, [0])]


@pytest.mark.usefixtures("calls")
def test_the_id_is_of_all_the_weights_depend_on(toy: Any, bank: PretrainedBank) -> None:
    found = [
        build(toy, bank, 1),
        build(toy, bank, 1, recipe=DecouplerRecipe(epochs=1)),
        build(toy, bank, 1, kind="linear"),
    ]
    found.append(DecouplerBank.build(toy, bank, per_member=1, hidden=4, recipe=RECIPE))
    assert len({b.id for b in found}) == 4
    assert set(found[2].weights(0, 0)["image"]) == {"weight", "bias"}


@pytest.mark.usefixtures("calls")
def test_only_the_last_used_stay_in_memory(toy: Any, bank: PretrainedBank, monkeypatch: pytest.MonkeyPatch) -> None:
    found = build(toy, bank)
    first = found.weights(0, 0)
    assert found.weights(0, 0) is first
    width = bank.encoders["image"].embedding
    each = 4 * 2 * (2 * 8 * width + 8 + width)
    monkeypatch.setattr(decoupler, "KEPT_BYTES", 2 * each)
    found.weights(0, 1)
    assert found.weights(0, 0) is first  # used again: the other is the older one now
    found.weights(1, 0)
    assert found.weights(0, 0) is first
    found.weights(1, 1)
    found.weights(2, 0)
    assert found.weights(0, 0) is not first


@pytest.mark.usefixtures("calls")
def test_what_does_not_fit_is_an_error(toy: Any, bank: PretrainedBank, tmp_path: Path, monkeypatch: Any) -> None:
    found = build(toy, bank)
    for place in ((3, 0), (0, 2), (-1, 0)):
        with pytest.raises(ConfigError, match="no decoupler"):
            found.weights(*place)
    with pytest.raises(ConfigError, match="1 or more"):
        build(toy, bank, 0)
    with pytest.raises(ConfigError, match="rate"):
        DecouplerRecipe(rate=0)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    monkeypatch.setattr(pairs, "BANK_RECIPE", Recipe(epochs=1, batch=32, optimiser="sgd", rate=0.1))
    with pytest.raises(ShapeError, match="image alone"):
        build(toy, PretrainedBank.build(toy, members=1, channels=4, modalities=["image"]))

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.banks import dynamics
from limbeck.banks.dynamics import Dynamics, last_layer_gradient_norm
from limbeck.data.toy import make_toy
from limbeck.encoders import encoders_for, machine
from limbeck.errors import ConfigError, DataError
from limbeck.rng import key, stream
from limbeck.training import Recipe, Rows, Student, train

RECIPE = Recipe(
    epochs=3, batch=16, optimiser="sgd", rate=0.05, momentum=0.9, drops=(), weight_decay=0.0, augment=()
)  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(dynamics, "RECIPE", RECIPE)
    monkeypatch.setattr(dynamics, "NETWORKS", 2)
    return tmp_path / "cache"


@pytest.fixture
def trainings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    assert not cache.exists()
    calls: list[list[int]] = []

    def counted(student: Any, data: Any, recipe: Any, seeds: Any, **settings: Any) -> Any:
        calls.append(list(seeds))
        return train(student, data, recipe, seeds, **settings)

    monkeypatch.setattr(dynamics, "train", counted)
    return calls


def small(store: Any, seed: int = 0, names: tuple[str, ...] | None = None, **settings: Any) -> Dynamics:
    modalities = {n: m for n, m in store.modalities.items() if names is None or n in names}
    return Dynamics(store, modalities, seed, **{"channels": 4, **settings})


def test_the_formula_is_the_norm_of_the_gradient_that_autograd_finds() -> None:
    draws = stream(0, "grand")
    features = torch.randn(6, 5, generator=draws, dtype=torch.float64)
    weight = torch.randn(3, 5, generator=draws, dtype=torch.float64).requires_grad_()
    bias = torch.randn(3, generator=draws, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([0, 2, 1, 1, 0, 2])
    expected = []
    for f, y in zip(features, labels, strict=True):  # one item at a time
        loss = torch.nn.functional.cross_entropy((weight @ f + bias)[None], y[None])
        parts = torch.autograd.grad(loss, (weight, bias))
        expected.append(float(torch.cat([p.flatten() for p in parts]).norm()))
    with torch.no_grad():
        found = last_layer_gradient_norm(features @ weight.T + bias, features, labels)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def literal_history(store: Any, names: tuple[str, ...], seed: int) -> np.ndarray:
    """Batch by batch with torch's own SGD; an item's outcome is looked at before the update that follows."""
    modalities = {n: store.modalities[n] for n in names}
    rows = store.rows("train")
    encoders = encoders_for(modalities, channels=4)
    student = Student(encoders, modalities, len(store.classes))
    weights = {k: w.requires_grad_() for k, w in student.init(seed).items()}
    sgd = torch.optim.SGD(weights.values(), lr=0.05, momentum=0.9)
    labels = torch.from_numpy(np.asarray(store.labels)[rows])
    right = np.zeros((3, len(rows)), dtype=bool)
    for epoch in range(3):
        for at in torch.randperm(len(rows), generator=stream(seed, "student", "order", epoch)).split(16):
            logits = {
                n: encoders[n].embed(student.branch(weights, n), store.batch(n, rows[at.numpy()]))
                @ weights[f"{n}/head.weight"].T
                + weights[f"{n}/head.bias"]
                for n in names
            }
            fused = sum(x.softmax(1) for x in logits.values())
            right[epoch, at.numpy()] = (fused.argmax(1) == labels[at]).numpy()
            sgd.zero_grad()
            sum(torch.nn.functional.cross_entropy(x, labels[at]) for x in logits.values()).backward()
            sgd.step()
    return right


@pytest.mark.parametrize("names", [("image", "audio"), ("audio",)])
def test_history_is_that_of_a_plain_loop(toy: Any, cache: Path, names: tuple[str, ...]) -> None:
    ordered = tuple(n for n in toy.modalities if n in names)
    found = small(toy, names=names).history()
    expected = literal_history(toy, ordered, key(0, "forgetting"))
    assert found.shape == (3, 80)
    assert 0 < found[0].mean() < found[2].mean()
    assert (found != expected).mean() < 0.01  # a near tie may fall the other way by rounding
    assert not list(cache.glob("dynamics/*.training"))


@pytest.mark.usefixtures("cache")
def test_gradient_norms_are_the_mean_over_networks_of_the_sum_over_heads(toy: Any) -> None:
    rows = toy.rows("train")
    student = Student(encoders_for(toy.modalities, channels=4), toy.modalities, 4)
    data = Rows.labelled(toy, "train", toy.modalities)
    expected = torch.zeros(80)
    for k in range(2):
        weights = train(student, data, RECIPE, [key(7, "grand", k)])[0]
        features = student.embed(weights, {n: toy.batch(n, rows) for n in toy.modalities})
        for name, f in features.items():
            logits = f @ weights[f"{name}/head.weight"].T + weights[f"{name}/head.bias"]
            expected += last_layer_gradient_norm(logits, f, data.labels) / 2
    found = small(toy, seed=7).gradient_norms()
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4)
    assert found.std() > 0


def test_both_are_kept_and_keyed_by_what_made_them(
    toy: Any, trainings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = small(toy).history(), small(toy).history()
    assert len(trainings) == 1
    assert np.array_equal(first, again)
    norms = small(toy).gradient_norms()
    assert len(trainings) == 3
    assert np.array_equal(norms, small(toy).gradient_norms())
    assert len({s for seeds in trainings for s in seeds}) == 3  # no network is used twice
    for other in (small(toy, seed=1), small(toy, channels=2), small(toy, names=("image",))):
        other.history()
    monkeypatch.setattr(machine, "machine_name", lambda _: "another")
    small(toy).history()
    assert len(trainings) == 7
    assert not np.array_equal(first, small(toy, seed=1).history())


def test_a_damaged_file_is_made_again(toy: Any, cache: Path, trainings: list[Any]) -> None:
    first = small(toy).history()
    (file,) = cache.glob("dynamics/*/history.npy")
    file.write_bytes(file.read_bytes()[:-5])
    assert np.array_equal(small(toy).history(), first)
    assert len(trainings) == 2


class Killed(Exception):
    pass


def killed_at(step: int) -> Any:
    def report(done: int) -> None:
        if done == step:
            raise Killed

    return report


@pytest.mark.parametrize("lost", ["nothing", "the sheet", "an epoch of the sheet", "the checkpoint"])
def test_a_killed_training_goes_on_to_the_same_history(toy: Any, cache: Path, lost: str) -> None:
    whole = small(toy, seed=3).history()
    for folder in cache.glob("dynamics/*"):
        if folder.is_dir():
            folder.rename(cache / "aside")
    with pytest.raises(Killed):
        small(toy, seed=3).history(killed_at(12))  # 5 steps an epoch: in the third
    (progress,) = cache.glob("dynamics/*.training")
    sheet = np.load(progress / "sheet.npy")
    assert (sheet[:2] > 0).all()
    assert (sheet[2] == 0).any()
    if lost == "the sheet":
        (progress / "sheet.npy").unlink()
    elif lost == "an epoch of the sheet":
        sheet[1] = 0
        np.save(progress / "sheet.npy", sheet)
    elif lost == "the checkpoint":
        for file in progress.glob("*.safetensors"):
            file.unlink()
    steps: list[int] = []
    again = small(toy, seed=3).history(steps.append)
    assert np.array_equal(again, whole)
    goes_on = list(range(11, 16))  # from where the third epoch begins
    assert steps == {"nothing": goes_on, "an epoch of the sheet": [*goes_on, *range(1, 16)]}.get(
        lost, list(range(1, 16))
    )
    assert not list(cache.glob("dynamics/*.training"))


def test_networks_that_were_finished_before_a_kill_are_not_trained_again(toy: Any, trainings: list[Any]) -> None:
    with pytest.raises(Killed):
        small(toy).gradient_norms(killed_at(17))  # 15 steps a network: in the second
    trainings.clear()
    steps: list[int] = []
    found = small(toy).gradient_norms(steps.append)
    assert trainings == [[key(0, "grand", 1)]]
    assert steps == list(range(15, 31))
    small_again = small(toy, names=("image", "audio"))
    assert np.array_equal(found, small_again.gradient_norms())


def test_two_at_the_same_time_train_once(toy: Any, trainings: list[Any]) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(small(toy).history())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trainings) == 1
    assert np.array_equal(found[0], found[1])


@pytest.mark.usefixtures("cache")
def test_items_without_a_label_take_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_toy(tmp_path / "store", modalities=("feature",), classes=3, per_class=(8, 2, 2))
    labels = np.asarray(store.labels).copy()
    bare = [2, 11]
    labels[store.rows("train")[bare]] = -1
    monkeypatch.setattr(store, "labels", labels)
    dynamics_of = small(store)
    history, norms = dynamics_of.history(), dynamics_of.gradient_norms()
    assert history.shape == (3, 24)
    assert norms.shape == (24,)
    assert not history[:, bare].any()
    assert [i for i in range(24) if norms[i] == 0] == bare


def test_what_cannot_be(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare: Any = SimpleNamespace(classes=(), path="somewhere", modalities={})
    with pytest.raises(DataError, match="somewhere: networks in training need labels"):
        Dynamics(bare, toy.modalities, 0).history()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(dynamics, "RECIPE", RECIPE)
    with pytest.raises(ConfigError, match="cannot be written"):
        small(toy).history()

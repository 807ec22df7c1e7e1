from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.banks import pairs
from limbeck.banks.pairs import BANK_RECIPE, member_seed
from limbeck.banks.pretrained import PretrainedBank
from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError, FormatError, NumericsError
from limbeck.training import Recipe, Rows, Student, predict, train

RECIPE = Recipe(epochs=2, batch=32, optimiser="sgd", rate=0.2, warm_up=1, drops=(1,), clip=1.0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    monkeypatch.setattr(pairs, "BANK_RECIPE", RECIPE)
    return tmp_path


@pytest.fixture
def trainings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the members trained."""
    assert not any(cache.iterdir())
    seeds: list[int] = []

    def counted(student: Any, data: Any, recipe: Any, which: Any, **settings: Any) -> Any:
        seeds.extend(which)
        return train(student, data, recipe, which, **settings)

    monkeypatch.setattr(pairs, "train", counted)
    return seeds


def build(store: Any, members: int = 2, **settings: Any) -> PretrainedBank:
    return PretrainedBank.build(store, members=members, channels=4, **settings)


def contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns, p.read_bytes()) for p in folder.glob("*.safetensors")}


@pytest.mark.usefixtures("cache")
def test_a_member_is_the_pair_trained_alone_and_scored_on_validation(toy: Any) -> None:
    bank = build(toy)
    encoders = encoders_for(toy.modalities, channels=4)
    student = Student(encoders, toy.modalities, 4)
    for member in range(2):
        alone = train(student, Rows.labelled(toy, "train", toy.modalities), RECIPE, [member_seed(member)])[0]
        found = bank.weights(member)
        assert set(found) == {"image", "audio"}
        assert not any("head" in name for own in found.values() for name in own)
        for modality, own in found.items():
            for name, weight in own.items():
                assert torch.equal(weight, alone[f"{modality}/{name}"])
        data = Rows.labelled(toy, "validation", toy.modalities)
        logits = predict(student, [alone], data)[0]
        right = {m: 100 * (x.argmax(1) == data.labels).float().mean().item() for m, x in logits.items()}
        assert bank.scores(member) == pytest.approx(right)
    assert not torch.equal(bank.weights(0)["image"]["0.conv"], bank.weights(1)["image"]["0.conv"])
    assert bank.weights(0) is bank.weights(0)  # kept after the first use
    assert not any(bank.path.glob("training/*"))


def test_a_small_bank_is_the_beginning_of_a_large_one(toy: Any, trainings: list[int]) -> None:
    small = build(toy, 1)
    before = contents(small.path)
    large = build(toy, 3)
    assert trainings == [member_seed(m) for m in range(3)]
    assert large.id == small.id
    after = contents(large.path)
    assert len(after) == 3
    assert after["000.safetensors"] == before["000.safetensors"]
    build(toy, 2)
    assert len(trainings) == 3
    assert contents(large.path) == after


def test_members_never_share_a_students_seed() -> None:
    assert not {member_seed(m) for m in range(100)} & set(range(100_000))


def test_a_damaged_member_is_made_again(toy: Any, trainings: list[int]) -> None:
    bank = build(toy)
    file, before = bank.file(1), contents(bank.path)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(FormatError, match="not readable"):
        bank.weights(1)
    build(toy)
    assert trainings[2:] == [member_seed(1)]
    after = contents(bank.path)
    assert after["000.safetensors"] == before["000.safetensors"]
    assert after["001.safetensors"][2] == before["001.safetensors"][2]


@pytest.mark.usefixtures("cache")
def test_the_id_is_of_all_the_weights_depend_on(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [build(toy, 1).id]
    ids.append(build(toy, 1, modalities=["image"]).id)
    ids.append(PretrainedBank.build(toy, members=1, channels=2).id)
    monkeypatch.setattr(pairs, "BANK_RECIPE", Recipe(epochs=1, batch=32, optimiser="sgd", rate=0.1))
    ids.append(build(toy, 1).id)
    assert len(set(ids)) == 4


@pytest.mark.usefixtures("cache")
def test_who_began_a_bank_says_with_how_many_threads(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, used = build(toy, 1), []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    second = build(toy, 2)
    assert second.id == first.id
    assert used == [1, 7]  # as it was begun, and back


def test_a_killed_training_goes_on_from_its_last_epoch(toy: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    steps = 0

    def killed(student: Any, data: Any, recipe: Any, seeds: Any, **settings: Any) -> Any:
        def report(_: int) -> None:
            nonlocal steps
            steps += 1
            if steps == 5:  # three steps an epoch
                raise Stop

        return train(student, data, recipe, seeds, **{**settings, "report": report})

    with monkeypatch.context() as patch:
        patch.setattr(pairs, "train", killed)
        with pytest.raises(Stop):
            build(toy)
    folder = next(cache.glob("banks/*/"))
    assert [p.name for p in (folder / "training").iterdir()] == ["000"]
    left: list[int] = []

    def counted(student: Any, data: Any, recipe: Any, seeds: Any, **settings: Any) -> Any:
        return train(student, data, recipe, seeds, **{**settings, "report": left.append})

    monkeypatch.setattr(pairs, "train", counted)
    bank = build(toy)
    assert len(left) == 3 + 6  # one epoch of the first, two of the second
    resumed = contents(bank.path)
    for file in bank.path.glob("*.safetensors"):
        file.unlink()
    build(toy)
    again = contents(bank.path)
    assert {k: v[2] for k, v in again.items()} == {k: v[2] for k, v in resumed.items()}


@pytest.mark.usefixtures("cache")
def test_a_state_of_another_training_is_dropped(toy: Any) -> None:
    bank = build(toy, 1)
    before = contents(bank.path)
    bank.file(0).unlink()
    state = bank.path / "training" / "000" / f"students-{member_seed(0)}.safetensors"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"nothing")
    build(toy, 1)
    assert contents(bank.path)["000.safetensors"][2] == before["000.safetensors"][2]
    assert not state.parent.exists()


def test_two_at_the_same_time_share_the_members(toy: Any, trainings: list[int]) -> None:
    threads = [threading.Thread(target=lambda: build(toy, 4)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(trainings) == sorted(member_seed(m) for m in range(4))


def test_members_trained_together_are_those_trained_alone(toy: Any, trainings: list[int]) -> None:
    alone = [build(toy, 3).weights(m) for m in range(3)]
    bank = build(toy, 3)
    for m in (0, 2):
        bank.file(m).unlink()
    together = build(toy, 3, at_once=3)
    assert sorted(trainings[3:]) == sorted([member_seed(0), member_seed(2)])
    for m in (0, 2):
        for name, weight in together.weights(m)["image"].items():
            torch.testing.assert_close(weight, alone[m]["image"][name], rtol=1e-2, atol=1e-4)


@pytest.mark.usefixtures("cache")
def test_as_many_go_together_as_fit(toy: Any) -> None:
    """What a GPU does with small pictures: the seeds of all are more than a file's name has room for."""
    assert PretrainedBank.build(toy, members=20, channels=1, at_once=20).were_missing == 20


@pytest.mark.usefixtures("cache")
def test_a_member_that_diverges_is_named(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverged(_: Any, __: Any, ___: Any, seeds: Any, **____: Any) -> Any:
        raise NumericsError(f"the student of seed {seeds[0]} has a loss or weight that is not finite", where="epoch 3")

    build(toy, 1)
    monkeypatch.setattr(pairs, "train", diverged)
    with pytest.raises(NumericsError, match="member 1 of the bank") as caught:
        build(toy)
    assert "epoch 3" in str(caught.value)


@pytest.mark.usefixtures("cache")
def test_what_does_not_fit_is_an_error(toy: Any) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'image'"):
        build(toy, modalities=["imag"])
    with pytest.raises(ConfigError, match="1 or more"):
        build(toy, 0)
    bank = build(toy, 1)
    with pytest.raises(ConfigError, match="no member 1"):
        bank.weights(1)


def test_the_recipe_is_the_papers_where_it_says_one() -> None:
    said = (BANK_RECIPE.optimiser, BANK_RECIPE.rate, BANK_RECIPE.momentum, BANK_RECIPE.batch)
    assert said == ("sgd", 0.2, 0.9, 128)

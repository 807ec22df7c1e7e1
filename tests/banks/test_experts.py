"""Expert trajectories: shared, resumable, and a function of the data alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from safetensors import safe_open

from limbeck.banks import experts as module
from limbeck.banks.experts import EXPERT_RECIPE, ExpertBank
from limbeck.data.toy import make_toy
from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError, DataError, FormatError, NumericsError
from limbeck.rng import key
from limbeck.training import Rows, Student, train

pytestmark = pytest.mark.usefixtures("cache")
SMALL = {"channels": 4, "recipe": dataclasses.replace(EXPERT_RECIPE, batch=32)}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def epochs_trained(monkeypatch):
    """How many networks each call of the training trains."""
    calls = []

    def counting(student, data, recipe, seeds, **options):
        calls.append(len(seeds))
        return train(student, data, recipe, seeds, **options)

    monkeypatch.setattr(module, "train", counting)
    return calls


def files(cache):
    return {p.relative_to(cache): p.read_bytes() for p in sorted(cache.rglob("expert-*.safetensors"))}


def test_a_trajectory_is_plain_sgd(toy):
    """Each epoch from the last snapshot, by the book: weights - rate x gradient, batch after batch."""
    bank = ExpertBank.build(toy, experts=1, epochs=2, modalities=["audio"], **SMALL)
    modality = {"audio": toy.modalities["audio"]}
    encoders = encoders_for(modality, channels=4)
    student, data = Student(encoders, modality, 4), Rows.labelled(toy, "train", modality)
    weights = student.init(key(0, "expert", 0))
    own = student.branch(weights, "audio")
    assert torch.equal(bank.snapshot("audio", 0, 0), torch.cat([w.flatten() for w in own.values()]))
    assert float(own["head.weight"].abs().max()) < 1e-3  # a student's head, nearly zero
    for epoch in range(2):
        weights = train(student, data, SMALL["recipe"], [key(0, "expert", 0, "epoch", epoch)], initial=[weights])[0]
        found = bank.layout("audio").weights(bank.snapshot("audio", 0, epoch + 1))
        assert all(torch.equal(w, found[k]) for k, w in student.branch(weights, "audio").items())
    assert bank.student("audio").id == student.id


def test_experts_learn(toy):
    recipe = dataclasses.replace(EXPERT_RECIPE, batch=16, rate=0.1, augment=())
    bank = ExpertBank.build(toy, experts=1, epochs=4, channels=4, modalities=["audio"], recipe=recipe)
    data = Rows.labelled(toy, "train", {"audio": toy.modalities["audio"]})
    items = data.batch(torch.arange(len(data)))

    def loss(epoch):
        weights = bank.layout("audio").weights(bank.snapshot("audio", 0, epoch))
        logits = bank.student("audio").logits({f"audio/{k}": w for k, w in weights.items()}, items)["audio"]
        return float(torch.nn.functional.cross_entropy(logits, data.labels))

    assert loss(4) < 0.8 * loss(0)


def test_fewer_are_the_first_of_more(toy, cache, tmp_path, monkeypatch):
    ExpertBank.build(toy, experts=3, epochs=2, **SMALL)
    more = files(cache)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "other"))
    ExpertBank.build(toy, experts=2, epochs=2, **SMALL)
    fewer = files(tmp_path / "other")
    assert len(more) == 6
    assert len(fewer) == 4
    assert all(more[name] == content for name, content in fewer.items())


def test_what_is_there_is_not_trained_again(toy, cache, epochs_trained):
    ExpertBank.build(toy, experts=2, epochs=2, **SMALL)
    assert epochs_trained == [1] * 8  # two modalities, two experts, two epochs
    before = files(cache)
    ExpertBank.build(toy, experts=2, epochs=2, **SMALL)
    ExpertBank.build(toy, experts=1, epochs=1, modalities=["audio", "image"], **SMALL)
    assert len(epochs_trained) == 8
    ExpertBank.build(toy, experts=3, epochs=2, **SMALL)
    assert len(epochs_trained) == 12
    assert all(files(cache)[name] == content for name, content in before.items())


def test_more_epochs_go_on_from_the_last(toy, cache, epochs_trained, tmp_path, monkeypatch):
    ExpertBank.build(toy, experts=1, epochs=1, **SMALL)
    ExpertBank.build(toy, experts=1, epochs=3, **SMALL)
    assert len(epochs_trained) == 6
    grown = files(cache)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "other"))
    ExpertBank.build(toy, experts=1, epochs=3, **SMALL)
    assert grown == files(tmp_path / "other")


def test_a_killed_training_goes_on_to_the_same_bits(toy, cache, tmp_path, monkeypatch):
    ExpertBank.build(toy, experts=2, epochs=3, **SMALL)
    whole = files(cache)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cut"))
    calls = []

    def cut(*arguments, **options):
        calls.append(1)
        if len(calls) in (3, 7):
            raise KeyboardInterrupt
        return train(*arguments, **options)

    monkeypatch.setattr(module, "train", cut)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            ExpertBank.build(toy, experts=2, epochs=3, **SMALL)
    ExpertBank.build(toy, experts=2, epochs=3, **SMALL)
    assert len(calls) == 14  # twelve epochs and the two that were cut
    assert whole == files(tmp_path / "cut")


def test_trained_at_once_they_are_the_same_to_rounding(toy, tmp_path, monkeypatch):
    one = ExpertBank.build(toy, experts=3, epochs=2, **SMALL)
    apart = [one.snapshot(m, e, 2) for m in ("audio", "image") for e in range(3)]
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "other"))
    two = ExpertBank.build(toy, experts=3, epochs=2, at_once=2, **SMALL)
    together = [two.snapshot(m, e, 2) for m in ("audio", "image") for e in range(3)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(apart, together, strict=True))


def test_experts_differ_from_each_other_and_from_a_protocols_students(toy):
    bank = ExpertBank.build(toy, experts=2, epochs=1, modalities=["audio"], **SMALL)
    one, two = (bank.snapshot("audio", m, 0) for m in range(2))
    assert float((one - two).abs().max()) > 0.1
    student = bank.student("audio")
    for seed in range(5):
        scored = bank.layout("audio").flatten(student.branch(student.init(seed), "audio"))
        assert float((one - scored).abs().max()) > 0.1


def test_other_settings_are_another_bank(toy):
    def id_of(**changes):
        return ExpertBank.build(toy, **{"experts": 1, "epochs": 1, "modalities": ["audio"], **SMALL, **changes}).id

    ids = [
        id_of(), id_of(channels=8), id_of(recipe=dataclasses.replace(EXPERT_RECIPE, batch=16)),
        id_of(modalities=["image"]),
    ]  # fmt: skip
    assert len(set(ids)) == 4
    assert id_of() == ids[0] == id_of(experts=2, epochs=2)


def test_a_damaged_file_is_trained_anew_and_named_where_it_is_read(toy, cache):
    bank = ExpertBank.build(toy, experts=1, epochs=1, modalities=["audio"], **SMALL)
    (path,) = cache.rglob("expert-*.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(FormatError, match=r"expert-0000\.safetensors"):
        bank.snapshot("audio", 0, 1)
    with pytest.raises(FormatError, match="epoch 7"):
        bank.snapshot("audio", 0, 7)
    ExpertBank.build(toy, experts=1, epochs=1, modalities=["audio"], **SMALL)
    assert path.read_bytes() == content


def test_one_file_an_expert_with_a_vector_an_epoch(toy, cache):
    bank = ExpertBank.build(toy, experts=2, epochs=2, modalities=["image"], **SMALL)
    paths = sorted(cache.rglob("expert-*.safetensors"))
    assert [p.name for p in paths] == ["expert-0000.safetensors", "expert-0001.safetensors"]
    with safe_open(paths[0], framework="pt") as file:
        assert sorted(file.keys()) == ["epoch.0", "epoch.1", "epoch.2"]
        assert file.get_slice("epoch.0").get_shape() == [bank.layout("image").size]


def test_a_rehearsal_trains_nothing(toy, cache, epochs_trained):
    bank = ExpertBank.build(toy, experts=2, epochs=1, rehearse=True, **SMALL)
    start, target = (bank.snapshot("audio", 0, e) for e in range(2))
    assert start.shape == target.shape == (bank.layout("audio").size,)
    assert float((start - target).abs().max()) > 0
    assert not epochs_trained
    assert not files(cache)


def test_a_training_that_diverges_names_the_expert(toy):
    recipe = dataclasses.replace(EXPERT_RECIPE, rate=1e38, batch=8)
    with pytest.raises(NumericsError, match="expert 0 of audio"):
        ExpertBank.build(toy, experts=1, epochs=1, channels=4, modalities=["audio"], recipe=recipe)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ["audo"]}, "Did you mean 'audio'"),
        ({"experts": 0}, "0 experts"),
        ({"epochs": 0}, "0 epochs"),
        ({"recipe": dataclasses.replace(EXPERT_RECIPE, momentum=0.5)}, "plain SGD"),
    ],
)
def test_bad_settings(toy, options, message):
    with pytest.raises(ConfigError, match=message):
        ExpertBank.build(toy, **{"experts": 1, "epochs": 1, "channels": 4, **options})


def test_a_set_without_labels(tmp_path):
    store = make_toy(tmp_path / "store", classes=1, per_class=(4, 1, 1))
    object.__setattr__(store, "classes", ())
    with pytest.raises(DataError, match="labels"):
        ExpertBank.build(store, experts=1)

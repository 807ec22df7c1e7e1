"""A student for people to use is the one that a score is of."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

import limbeck
from limbeck.augment import DSA
from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError, DataError
from limbeck.rng import stream


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "run"
    limbeck.distill("herding", toy, out=path, per_class=2, channels=8, threads=1)
    return path


def test_each_seed_scores_what_evaluate_says(run):
    found = limbeck.evaluate(run, seeds=(0, 3), kernels="literal", threads=1)
    for told in found["runs"]:
        assert limbeck.train(run, seed=told["seed"], kernels="literal").score() == told["scores"]


def test_another_student_of_one_modality(run):
    found = limbeck.evaluate(run, seeds=(1,), students=["lenet"], modalities=["audio"], threads=1)
    student = limbeck.train(run, seed=1, student="lenet", modalities=["audio"])
    assert student.score() == found["runs"][0]["scores"]


def test_it_reads_the_batches_of_a_loader(run, toy):
    synthetic = limbeck.load(run)
    student = limbeck.train(synthetic, seed=0)
    batch = next(iter(DataLoader(synthetic.torch(), batch_size=5)))
    logits = student(batch)
    assert {name: tuple(x.shape) for name, x in logits.items()} == dict.fromkeys(("image", "audio", "fused"), (5, 4))
    torch.testing.assert_close(logits["fused"].exp().sum(1), torch.ones(5))
    assert (logits["fused"].argmax(1) == batch["label"]).double().mean() > 0.5  # of what it was trained on
    assert student.score(toy, split="validation") != {}


def test_plain_torch_lands_where_the_protocol_does(run, toy):
    """Who loads the set and writes the loop anew, by the protocol's description alone, is inside its interval."""
    told = limbeck.evaluate(run, threads=1, kernels="literal")
    synthetic = limbeck.load(run)
    loader = DataLoader(synthetic.torch(), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(7))
    (low, high), name = told["interval"]["image"], "image"
    encoder = encoders_for({name: synthetic.modalities[name]}, channels=8)[name]
    weights = encoder.init(stream(7, "own"))
    head = torch.nn.Linear(encoder.embedding, 4)
    torch.nn.init.normal_(head.weight, std=0.01)
    rate = 1e-4 * 6272 / encoder.embedding
    parameters = [w.requires_grad_() for w in weights.values()]
    optimiser = torch.optim.Adam(
        [{"params": parameters, "lr": 1e-4}, {"params": head.parameters(), "lr": rate}], weight_decay=1e-4
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [10, 20])
    augment = DSA(("color", "crop", "cutout", "flip", "scale", "rotate"))
    for epoch in range(30):
        for step, batch in enumerate(loader):
            x = augment(batch[name], augment.draw_items(stream(7, "augment", epoch, step), len(batch[name])))
            loss = torch.nn.functional.cross_entropy(head(encoder.embed(weights, x)), batch["label"])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    rows = toy.rows("test")
    with torch.no_grad():
        guess = head(encoder.embed(weights, toy.batch(name, rows))).argmax(1)
    score = 100 * float((guess == torch.from_numpy(toy.labels[rows])).double().mean())
    spread = 2.776 * told["std"][name]  # of one more student, not of the mean
    assert told["mean"][name] - spread <= score <= told["mean"][name] + spread, (score, low, high)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"protocol": "retrieval-class"}, "no classifier"),
        ({"protocol": "retrieval-mdm", "modalities": ["image"]}, "no classifier"),
        ({"protocol": "recognition-frozen-heads"}, "no classifier"),
        ({"modalities": ["imege"]}, "no modality 'imege'"),
        ({"student": "convent"}, "unknown student"),
        ({"kernels": "fast"}, "unknown kernels"),
    ],
)
def test_what_cannot_be_trained(run, words, what):
    with pytest.raises(ConfigError, match=what):
        limbeck.train(run, **words)


def test_a_batch_without_a_modality(run):
    student = limbeck.train(run, seed=0)
    with pytest.raises(ConfigError, match="no audio"):
        student({"image": torch.zeros(1, *student.student.modalities["image"].shape)})


def test_no_labels_and_no_data(run, tmp_path):
    import dataclasses

    synthetic = limbeck.load(run)
    with pytest.raises(DataError, match="no labels"):
        limbeck.train(dataclasses.replace(synthetic, labels=None), protocol="recognition-avdd")
    away = dataclasses.replace(synthetic, provenance={**synthetic.provenance, "data": {"path": str(tmp_path / "no")}})
    student = limbeck.train(away, seed=0)
    with pytest.raises(DataError, match="not here"):
        student.score()


def test_towers_of_a_set_by_pairs(toy, tmp_path):
    run = tmp_path / "pairs"
    limbeck.distill("random", toy, out=run, pairs=6, channels=8, threads=1)
    found = limbeck.evaluate(run, seeds=(0, 2), threads=1, kernels="literal")
    assert found["protocol"] == "retrieval-mdm"
    for told in found["runs"]:
        towers = limbeck.train(run, seed=told["seed"], kernels="literal")
        assert towers.score() == told["scores"]
    batch = next(iter(DataLoader(limbeck.load(run).torch(), batch_size=3)))
    embeddings = towers(batch)
    torch.testing.assert_close(embeddings["image"].norm(dim=1), torch.ones(3))
    assert embeddings["image"].shape == embeddings["audio"].shape
    with pytest.raises(ConfigError, match="none of image, audio"):
        towers({"text": batch["image"]})


@pytest.mark.parametrize("settings", [None, [], {"channels": "many"}, {"channels": True}, {"channels": -3}])
def test_settings_of_another_s_set_may_be_anything(run, toy, settings):
    synthetic = limbeck.load(run)
    synthetic.provenance = {"settings": settings}
    words = {"data": toy, "students": ["lenet"], "seeds": (0,), "threads": 1, "device": "cpu", "kernels": "literal"}
    found = limbeck.evaluate(synthetic, **words)
    assert found["settings"]["channels"] == 32
    student = limbeck.train(synthetic, student="lenet", seed=0, device="cpu", kernels="literal")
    assert student.score(toy) == found["runs"][0]["scores"]


def test_a_set_of_embedded_items_is_no_classifier_s_by_default(run, monkeypatch):
    """``limbeck evaluate`` scores it by heads, whose score a student from scratch is not."""
    monkeypatch.setattr("limbeck.evaluation.pair_settings.is_embedded", lambda _: True)
    synthetic = limbeck.load(run)
    synthetic.provenance["settings"] |= {"captions": "stored"}
    with pytest.raises(ConfigError, match="recognition-frozen-heads trains no classifier"):
        limbeck.train(synthetic)

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
import torch

from limbeck.data.toy import make_toy
from limbeck.errors import ConfigError, DataError, LimbeckError, ShapeError
from limbeck.evaluation.fusion import ensemble
from limbeck.evaluation.protocols import PROTOCOLS, Protocol, protocol
from limbeck.evaluation.recognition import evaluate_recognition
from limbeck.evaluation.students import build_student
from limbeck.evaluation.study import summarise
from limbeck.synthetic import SyntheticSet
from limbeck.training import Recipe, Rows, predict, train

QUICK = "quick"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(epochs=8, rates={"image": 1e-3, "audio": 1e-3, "text": 1e-3}, head_rate=1e-3, drops=(6,))
    quick = Protocol(name=QUICK, version=3, description="short", source="tests", recipe=recipe)
    monkeypatch.setitem(PROTOCOLS, QUICK, quick)


def picks(store: Any, n: int, classes: range | None = None) -> SyntheticSet:
    rows = torch.cat([torch.tensor(store.rows("train", c)[:n]) for c in classes or range(len(store.classes))])
    return SyntheticSet(
        modalities=dict(store.modalities),
        values={name: store.batch(name, rows) for name in store.modalities},
        labels=torch.as_tensor(store.labels[rows.numpy()].copy()),
        classes=store.classes,
    )


def score(synthetic: SyntheticSet | None, store: Any, **settings: Any) -> dict[str, Any]:
    settings = {"protocol": QUICK, "seeds": [0, 1], "channels": 8, **settings}
    found = evaluate_recognition(synthetic, store, **settings).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    return found


def test_the_result_holds_every_number(toy: Any) -> None:
    found = score(picks(toy, 10), toy)
    assert {"protocol", "version", "selection", "students", "seeds", "split", "dataset", "data_hash"} <= set(found)
    assert (found["protocol"], found["version"], found["selection"]) == (QUICK, 3, "last epoch")
    assert [(r["student"], r["seed"]) for r in found["runs"]] == [("convnet", 0), ("convnet", 1)]
    for metric in ("fused", "image", "audio"):
        values = [r["scores"][metric] for r in found["runs"]]
        assert found["mean"][metric] == pytest.approx(sum(values) / 2)
        assert found["std"][metric] == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2))
        assert 0 <= min(values) <= max(values) <= 100
    assert found["n"] == 2
    assert found["mean"]["fused"] > 60
    assert (found["chance"], found["majority"]) == (25, 25)
    assert sum(map(sum, found["confusion"])) == 2 * 20
    right = sum(found["confusion"][i][i] for i in range(4))
    assert found["mean"]["fused"] == pytest.approx(100 * right / 40)
    assert found["data_hash"] == toy.data_hash
    assert found["settings"]["missing_classes"] == []


def test_a_score_is_what_training_and_predicting_by_hand_gives(toy: Any) -> None:
    synthetic = picks(toy, 5)
    found = score(synthetic, toy, seeds=[4])
    student = build_student("convnet", toy.modalities, 4, channels=8)
    from limbeck.training import Tensors

    weights = train(student, Tensors.decoded(synthetic), PROTOCOLS[QUICK].recipe, [4])
    test = Rows.labelled(toy, "test", toy.modalities)
    logits = predict(student, weights, test)[0]
    fused = (torch.softmax(logits["image"], 1) + torch.softmax(logits["audio"], 1)) / 2
    for metric, output in {"fused": fused, **logits}.items():
        expected = 100 * float((output.argmax(1) == test.labels).double().mean())
        assert found["runs"][0]["scores"][metric] == pytest.approx(expected)


def test_the_fusion_is_the_mean_of_softmaxes() -> None:
    a, b = torch.randn(5, 3), torch.randn(5, 3)
    torch.testing.assert_close(ensemble({"a": a, "b": b}), (a.softmax(1) + b.softmax(1)) / 2)
    torch.testing.assert_close(ensemble({"a": a}), a.softmax(1))


def test_seeds_are_independent_of_each_other_and_of_order(toy: Any) -> None:
    synthetic = picks(toy, 5)
    both, one = score(synthetic, toy, seeds=[1, 0]), score(synthetic, toy, seeds=[0])
    assert both["runs"][1] == one["runs"][0]
    together = score(synthetic, toy, seeds=[1, 0], at_once=2)
    for a, b in zip(both["runs"], together["runs"], strict=True):
        assert a["scores"] == pytest.approx(b["scores"], abs=5.1)  # one of 20 test items may change sides by rounding


@pytest.mark.parametrize("name", ["image", "audio"])
def test_one_modality_alone_scores_as_its_branch_does(toy: Any, name: str) -> None:
    synthetic = picks(toy, 5)
    alone, both = score(synthetic, toy, modalities=[name]), score(synthetic, toy)
    assert alone["metrics"] == ["fused", name]
    assert alone["mean"]["fused"] == alone["mean"][name]
    if name == "image":  # the same grid with and without sound; sound alone has a grid of its own
        assert alone["mean"][name] == both["mean"][name]


def test_a_set_of_one_modality(toy: Any) -> None:
    whole = picks(toy, 5)
    only = dataclasses.replace(
        whole, modalities={"image": whole.modalities["image"]}, values={"image": whole.values["image"]}
    )
    assert score(only, toy)["mean"]["image"] == score(whole, toy, modalities=["image"])["mean"]["image"]


def test_one_item_a_class_and_missing_classes(toy: Any) -> None:
    found = score(picks(toy, 1, range(1, 3)), toy)
    assert found["settings"]["missing_classes"] == [toy.classes[0], toy.classes[3]]
    assert found["settings"]["training_items"] == 2
    assert found["mean"]["fused"] <= 50


def test_a_factor_is_decoded_before_training(toy: Any) -> None:
    synthetic = dataclasses.replace(picks(toy, 2), factor=2)
    assert score(synthetic, toy, seeds=[0])["settings"]["training_items"] == 4 * 8


def test_whole_data(toy: Any) -> None:
    found = score(None, toy, seeds=[0])
    assert found["settings"]["training_items"] == 80
    assert found["mean"]["fused"] > 80
    assert found["std"]["fused"] is None
    assert found["interval"]["fused"] is None
    validation = score(None, toy, seeds=[0], split="validation")
    assert validation["split"] == "validation"


def test_items_are_read_as_the_synthetic_set_was_normalised(toy: Any) -> None:
    synthetic = picks(toy, 5)
    real = toy.modalities["audio"]
    shifted = real.with_statistics(tuple(m - 3 * s for m, s in zip(real.mean, real.std, strict=True)), real.std)
    values = {**synthetic.values, "audio": synthetic.values["audio"] + 3}
    moved = dataclasses.replace(synthetic, modalities={**synthetic.modalities, "audio": shifted}, values=values)
    a, b = score(synthetic, toy, modalities=["audio"]), score(moved, toy, modalities=["audio"])
    # zero padding falls elsewhere, so not the same numbers; wrongly normalised test items would be at chance
    assert b["mean"]["audio"] > 40
    assert a["mean"]["audio"] > 40


def test_what_does_not_fit_is_told(toy: Any, tmp_path: Any) -> None:
    synthetic = picks(toy, 1)
    cases: list[tuple[type[LimbeckError], str, dict[str, Any]]] = [
        (ConfigError, "Did you mean 'recognition-avdd'", {"protocol": "recogntion-avdd"}),
        (ConfigError, "Did you mean 'convnet'", {"students": ["convnett"]}),
        (ConfigError, "Did you mean 'image'", {"modalities": ["imag"]}),
        (ConfigError, "Did you mean 'test'", {"split": "tset"}),
        (ConfigError, "at least one seed", {"seeds": []}),
        (ConfigError, "--seeds: 1, 3 comes more than once", {"seeds": [3, 1, 3, 0, 1]}),
        (ConfigError, "--students: convnet comes more than once", {"students": ["convnet", "convnet"]}),
    ]
    for kind, words, settings in cases:
        with pytest.raises(kind, match=words):
            score(synthetic, toy, **settings)
    larger = make_toy(tmp_path / "larger", image_size=32, per_class=(2, 1, 1))
    with pytest.raises(ShapeError, match=r"image \(image of 3x16x16\).*image \(image of 3x32x32\)"):
        score(synthetic, larger)
    deaf = make_toy(tmp_path / "deaf", modalities=("image",), per_class=(2, 1, 1))
    with pytest.raises(ShapeError, match=r"audio \(audio of 1x16x16\)"):
        score(synthetic, deaf)
    fewer = make_toy(tmp_path / "fewer", classes=3, per_class=(2, 1, 1))
    with pytest.raises(ShapeError, match="classes"):
        score(synthetic, fewer)
    pairs = dataclasses.replace(synthetic, labels=None)
    with pytest.raises(DataError, match="no labels"):
        score(pairs, toy)


def test_protocols_are_those_of_the_paper_and_the_code() -> None:
    paper, code = protocol("recognition-avdd"), protocol("recognition-avdd-code")
    assert (paper.recipe.head_rate, paper.recipe.drops) == (1e-4, (10, 20))
    assert (code.recipe.head_rate, code.recipe.drops) == (1e-3, (11, 21))
    assert (paper.recipe.head_rule, code.recipe.head_rule) == ("width", "plain")
    for p in (paper, code):
        assert (p.recipe.epochs, p.recipe.batch, p.recipe.weight_decay) == (30, 32, 1e-4)
        assert (p.recipe.rates["audio"], p.recipe.rates["image"]) == (1e-3, 1e-4)
        card = json.loads(json.dumps(p.card()))
        assert {"name", "version", "description", "selection"} <= set(card)


def test_the_interval_is_students() -> None:
    found = summarise([1.0, 2.0, 3.0, 4.0])
    assert (found.mean, found.n) == (2.5, 4)
    assert found.std == pytest.approx(1.2909944)
    assert found.interval == pytest.approx((2.5 - 2.0542544, 2.5 + 2.0542544), abs=1e-4)  # t(0.975, 3) = 3.182446
    assert summarise([5.0]).interval is None


def test_several_architectures_are_told_apart(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.encoders import encoders_for
    from limbeck.evaluation.students import STUDENTS, Architecture

    def build(m, *, channels, **k):
        return encoders_for(m, channels=channels // 4, **k)

    monkeypatch.setitem(STUDENTS, "narrow", Architecture("a narrow ConvNet", build))
    found = score(picks(toy, 3), toy, students=["convnet", "narrow"])
    assert found["n"] == 4
    alone = score(picks(toy, 3), toy)
    assert found["by_student"]["convnet"] == {name: alone[name] for name in ("mean", "std", "interval")}
    assert found["std"] is None  # two architectures are no sample of one thing
    assert found["interval"] is None
    fused = [r["scores"]["fused"] for r in found["runs"]]
    assert found["mean"]["fused"] == pytest.approx(sum(fused) / 4)
    assert [r["student"] for r in found["runs"]] == ["convnet", "convnet", "narrow", "narrow"]


def test_a_mistyped_student_is_told_before_any_is_trained(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("trained")

    monkeypatch.setattr("limbeck.evaluation.trial.train", never)
    with pytest.raises(ConfigError, match="unknown student 'convnett'"):
        score(picks(toy, 1), toy, students=["convnet", "convnett"])

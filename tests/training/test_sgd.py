"""SGD with warm-up and clipping, weights to start from, and what an observer sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError, ResumeError, ShapeError
from limbeck.modalities import Audio, Image, Modality
from limbeck.rng import stream
from limbeck.training import Recipe, Student, Tensors, predict, train
from tests.reference.convnet import LiteralConvNet
from tests.reference.student import train_branch_sgd

PLAIN = Recipe(
    epochs=4, batch=5, rate=0.02, optimiser="sgd", warm_up=2, drops=(3,), clip=1.5, weight_decay=1e-3, augment=()
)
MODALITIES: dict[str, Modality] = {"image": Image(shape=(1, 16, 16)), "audio": Audio(shape=(1, 16, 12))}


def some_student(names: tuple[str, ...] = ("image", "audio"), fusion: str = "ensemble") -> Student:
    encoders = encoders_for(MODALITIES, channels=4)
    return Student({n: encoders[n] for n in names}, {n: MODALITIES[n] for n in names}, 3, fusion)


def some_data(names: tuple[str, ...] = ("image", "audio"), n: int = 13) -> Tensors:
    g = torch.Generator().manual_seed(0)
    values = {name: torch.randn(n, *m.shape, generator=g) for name, m in MODALITIES.items()}
    return Tensors({name: values[name] for name in names}, torch.arange(n) % 3)


@pytest.mark.parametrize("at_once", [1, 3])
def test_sgd_is_the_plain_loop(at_once: int) -> None:
    student, data, seeds = some_student(), some_data(), [5, 6, 7]
    ours = train(student, data, PLAIN, seeds, at_once=at_once)
    norms: list[float] = []
    for seed, trained in zip(seeds, ours, strict=True):
        start = student.init(seed)
        for name, net in student.encoders.items():
            plain = LiteralConvNet(1, net.blocks, 4, net.first_padding, net.grid)  # type: ignore[attr-defined]
            own = student.branch(start, name)
            plain.load({k: w for k, w in own.items() if "head" not in k})
            head = torch.nn.Linear(net.embedding, 3)
            head.load_state_dict({"weight": own["head.weight"], "bias": own["head.bias"]})
            epochs = []
            for epoch in range(PLAIN.epochs):
                order = torch.randperm(13, generator=stream(seed, "student", "order", epoch))
                epochs.append([(data.values[name][p], data.labels[p]) for p in order.split(5)])
            norms += train_branch_sgd(
                plain, head, epochs, rate=0.02, momentum=0.9, weight_decay=1e-3, warm_up=2, drops=(3,), clip=1.5
            )
            expected = {f"{i}.conv": plain.layers[4 * i].weight for i in range(net.blocks)}  # type: ignore[attr-defined]
            expected |= {"head.weight": head.weight, "head.bias": head.bias}
            for key, weight in expected.items():
                moved = (trained[f"{name}/{key}"] - start[f"{name}/{key}"]).abs().max()
                assert moved > 1e-3
                torch.testing.assert_close(trained[f"{name}/{key}"], weight.detach(), rtol=1e-3, atol=2e-5)
    assert min(norms) < 1.4 < 1.6 < max(norms)  # some steps are clipped and some are not


def test_a_pair_is_clipped_as_each_alone_and_a_fused_student_as_one() -> None:
    joint = train(some_student(), some_data(), PLAIN, [1])[0]
    for name in ("image", "audio"):
        alone = train(some_student((name,)), some_data((name,)), PLAIN, [1])[0]
        assert all(torch.equal(joint[k], w) for k, w in alone.items())
    assert some_student().branches == [("image",), ("audio",)]
    assert some_student(fusion="sum").branches == [("image", "audio", "fused")]
    # one step of rate 1 without momentum is the clipped gradient: its norm is the bound
    recipe = dataclasses.replace(PLAIN, epochs=1, batch=13, rate=1.0, warm_up=0, weight_decay=0.0, clip=1e-3, drops=())
    student = some_student(fusion="sum")
    before, after = student.init(0), train(student, some_data(), recipe, [0])[0]
    norm = torch.stack([(after[k] - before[k]).double().norm() for k in before]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-2)


def test_rates_rise_then_fall() -> None:
    recipe = Recipe(epochs=4, warm_up=2, drops=(1, 3))
    factors = [recipe.factor(epoch, step, 2) for epoch in range(4) for step in range(2)]
    assert factors == pytest.approx([0.25, 0.5, 0.075, 0.1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_goes_on_from_any_epoch_to_the_same_bits(tmp_path: Path, stop: int, momentum: float) -> None:
    student, data, recipe = some_student(), some_data(), dataclasses.replace(PLAIN, momentum=momentum)
    whole = train(student, data, recipe, [0, 1], at_once=2)

    def kill(done: int) -> None:
        if done > 2 * (stop * 3 + 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(student, data, recipe, [0, 1], at_once=2, checkpoint=tmp_path, report=kill)
    seen: list[int] = []
    resumed = train(student, data, recipe, [0, 1], at_once=2, checkpoint=tmp_path, report=seen.append)
    assert len(seen) == (PLAIN.epochs - stop) * 3
    assert all(torch.equal(a[k], b[k]) for a, b in zip(whole, resumed, strict=True) for k in a)


def test_training_starts_from_given_weights(tmp_path: Path) -> None:
    student, data = some_student(), some_data()
    given = [student.init(9), student.init(8)]
    kept = [{k: w.clone() for k, w in weights.items()} for weights in given]
    for at_once in (1, 2):
        nothing = train(student, data, dataclasses.replace(PLAIN, epochs=0), [0, 1], at_once=at_once, initial=given)
        assert all(torch.equal(a[k], b[k]) for a, b in zip(nothing, given, strict=True) for k in a)
        trained = train(student, data, PLAIN, [9, 8], at_once=at_once, initial=given)
        assert all(torch.equal(a[k], b[k]) for a, b in zip(given, kept, strict=True) for k in a)
        fresh = train(student, data, PLAIN, [9, 8], at_once=at_once)
        assert all(torch.equal(a[k], b[k]) for a, b in zip(trained, fresh, strict=True) for k in a)
    train(student, data, PLAIN, [0], checkpoint=tmp_path, initial=given[:1])
    with pytest.raises(ResumeError, match="another training"):
        train(student, data, PLAIN, [0], checkpoint=tmp_path, initial=given[1:])
    with pytest.raises(ResumeError, match="another training"):
        train(student, data, PLAIN, [0], checkpoint=tmp_path)


def test_weights_that_do_not_fit_are_told() -> None:
    student, data, weights = some_student(), some_data(), some_student().init(0)
    with pytest.raises(ConfigError, match="2 sets of weights to start 1"):
        train(student, data, PLAIN, [0], initial=[weights, weights])
    for wrong in (
        {k: w for k, w in weights.items() if k != "image/0.conv"},
        weights | {"image/0.conv": torch.zeros(1)},
    ):
        with pytest.raises(ShapeError, match=r"image/0\.conv"):
            train(student, data, PLAIN, [0], initial=[wrong])
    with pytest.raises(ShapeError, match="image/9"):
        train(student, data, PLAIN, [0], initial=[weights | {"image/9": torch.zeros(1)}])


def test_an_observer_sees_each_batch_before_its_update() -> None:
    student, data = some_student(), some_data()
    seen: list[tuple[int, Tensor, Mapping[str, Tensor], Tensor]] = []
    train(student, data, PLAIN, [4, 5], at_once=2, observe=lambda *what: seen.append(what))
    assert [epoch for epoch, *_ in seen] == [e for e in range(4) for _ in range(3)]
    assert [tuple(indices.shape) for _, indices, *_ in seen[:3]] == [(2, 5), (2, 5), (2, 3)]
    for epoch in range(4):
        for s in range(2):
            order = torch.cat([indices[s] for e, indices, *_ in seen if e == epoch])
            assert sorted(order.tolist()) == list(range(13))
    _, indices, logits, labels = seen[0]
    assert torch.equal(labels, data.labels[indices])
    for s, seed in enumerate((4, 5)):
        fresh = predict(student, [student.init(seed)], data)[0]
        for name in student.outputs:
            assert not logits[name].requires_grad
            torch.testing.assert_close(logits[name][s], fresh[name][indices[s]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [{"optimiser": "adamw"}, {"rate": 0.0}, {"clip": -1.0}, {"warm_up": -1}, {"momentum": 1.0}, {"clip": float("nan")}],
)
def test_recipes_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Recipe(**wrong)  # type: ignore[arg-type]

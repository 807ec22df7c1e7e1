from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.augment import DSA
from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError, DataError, NumericsError, ResumeError
from limbeck.modalities import Audio, Feature, Image, Modality
from limbeck.rng import stream
from limbeck.training import Recipe, Rows, Student, Tensors, chunks, predict, train
from tests.reference import dsa as literal_dsa
from tests.reference.convnet import LiteralConvNet
from tests.reference.student import train_branch

SHORT = Recipe(epochs=4, batch=5, drops=(1, 3), head_rule="plain")


def some_modalities() -> dict[str, Modality]:
    return {"image": Image(shape=(1, 16, 16)), "audio": Audio(shape=(1, 16, 12)), "feature": Feature(shape=(6,))}


def some_student(channels: int = 4, modalities: dict[str, Modality] | None = None) -> Student:
    chosen = modalities or some_modalities()
    return Student(encoders_for(chosen, channels=channels), chosen, 3)


def some_data(n: int = 13, seed: int = 0) -> Tensors:
    g = torch.Generator().manual_seed(seed)
    values = {name: torch.randn(n, *m.shape, generator=g) for name, m in some_modalities().items()}
    return Tensors(values, torch.arange(n) % 3)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", ["image", "audio"])
def test_a_student_is_the_plain_training_loop(name: str) -> None:
    modality = some_modalities()[name]
    student = Student(encoders_for({name: modality}, channels=4), {name: modality}, 3)
    data, seed = some_data(), 5
    ours = train(student, Tensors({name: data.values[name]}, data.labels), SHORT, [seed])[0]

    start = student.init(seed)
    net = student.encoders[name]
    plain = LiteralConvNet(1, net.blocks, 4, net.first_padding, net.grid)  # type: ignore[attr-defined]
    plain.load({k.removeprefix(f"{name}/"): w for k, w in start.items() if "head" not in k})
    head = torch.nn.Linear(net.embedding, 3)
    with torch.no_grad():
        head.weight.copy_(start[f"{name}/head.weight"])
        head.bias.copy_(start[f"{name}/head.bias"])

    def augment(epoch: int, step: int, x: torch.Tensor) -> torch.Tensor:
        g = stream(seed, "student", "augment", name, epoch, step)
        family = DSA().families[int(torch.randint(6, (), generator=g))]
        uniforms = torch.rand(len(x), 3, generator=g, dtype=torch.float64)
        return literal_dsa.augment(x.double(), family, uniforms).float()

    epochs = []
    for epoch in range(SHORT.epochs):
        order = torch.randperm(13, generator=stream(seed, "student", "order", epoch))
        parts = [order[i : i + 5] for i in range(0, 13, 5)]
        assert len(parts[-1]) == 3  # the last, smaller batch is trained on too
        epochs.append([(data.values[name][p], data.labels[p]) for p in parts])
    train_branch(
        plain, head, epochs, encoder_rate=SHORT.rates[name], head_rate=1e-4, drops=SHORT.drops, augment=augment
    )
    expected = {f"{i}.conv": plain.layers[4 * i].weight for i in range(net.blocks)}  # type: ignore[attr-defined]
    expected |= {f"{i}.scale": plain.layers[4 * i + 1].weight for i in range(net.blocks)}  # type: ignore[attr-defined]
    expected |= {"head.weight": head.weight, "head.bias": head.bias}
    for key, weight in expected.items():
        moved = (ours[f"{name}/{key}"] - start[f"{name}/{key}"]).abs().max()
        assert moved > 1e-4
        assert (ours[f"{name}/{key}"] - weight).abs().max() < 1e-5, key


def test_students_trained_together_are_those_trained_alone() -> None:
    student, data = some_student(), some_data()
    alone = train(student, data, SHORT, [3, 1, 4], at_once=1)
    together = train(student, data, SHORT, [3, 1, 4], at_once=3)
    pairs = train(student, data, SHORT, [3, 1, 4], at_once=2)
    for a, b, c in zip(alone, together, pairs, strict=True):
        assert not same(a, alone[0]) or a is alone[0]
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=2e-5)
            torch.testing.assert_close(a[key], c[key], rtol=1e-3, atol=2e-5)


def test_a_student_hangs_on_its_seed_alone() -> None:
    student, data = some_student(), some_data()
    first = train(student, data, SHORT, [7])[0]
    torch.manual_seed(123)
    again = train(student, data, SHORT, [2, 7])[1]
    assert same(first, again)
    assert not same(first, train(student, data, SHORT, [8])[0])


def test_branches_share_nothing() -> None:
    both, data = some_student(), some_data()
    modality = some_modalities()["image"]
    alone = Student({"image": both.encoders["image"]}, {"image": modality}, 3)
    joint = train(both, data, SHORT, [1])[0]
    single = train(alone, Tensors({"image": data.values["image"]}, data.labels), SHORT, [1])[0]
    assert all(torch.equal(joint[k], w) for k, w in single.items())


def test_rates_fall_when_the_recipe_says() -> None:
    paper, code = Recipe(drops=(10, 20)), Recipe(drops=(11, 21))
    for recipe, lengths in ((paper, (10, 10, 10)), (code, (11, 10, 9))):
        decays = [round(recipe.decay(e), 6) for e in range(30)]
        assert tuple(decays.count(d) for d in (1.0, 0.1, 0.01)) == lengths


def test_augmentation_can_be_left_out_and_matters() -> None:
    student, data = some_student(), some_data()
    plain = train(student, data, Recipe(epochs=2, augment=()), [0])[0]
    changed = train(student, data, Recipe(epochs=2), [0])[0]
    assert not torch.equal(plain["image/0.conv"], changed["image/0.conv"])
    assert torch.equal(plain["feature/weight"], changed["feature/weight"])  # vectors are never augmented


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_training_goes_on_from_any_epoch_to_the_same_bits(tmp_path: Path, stop: int) -> None:
    student, data = some_student(), some_data()
    whole = train(student, data, SHORT, [0, 1], at_once=2)
    steps = 0

    class Stop(Exception):
        pass

    def kill(_done: int) -> None:
        nonlocal steps
        steps += 1
        if steps > stop * 3 + 1:
            raise Stop

    try:
        train(student, data, SHORT, [0, 1], at_once=2, checkpoint=tmp_path, report=kill)
    except Stop:
        assert stop < SHORT.epochs
    seen: list[int] = []
    resumed = train(student, data, SHORT, [0, 1], at_once=2, checkpoint=tmp_path, report=seen.append)
    assert len(seen) == (SHORT.epochs - stop) * 3
    assert all(same(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student, data = some_student(), some_data()
    train(student, data, SHORT, [0], checkpoint=tmp_path)
    with pytest.raises(ResumeError, match="another training"):
        train(student, some_data(seed=1), SHORT, [0], checkpoint=tmp_path)
    with pytest.raises(ResumeError, match="another training"):
        train(student, data, Recipe(epochs=4, batch=5, drops=()), [0], checkpoint=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 99)  # its last bits would be others
        with pytest.raises(ResumeError, match="another training"):
            train(student, data, SHORT, [0], checkpoint=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ResumeError, match="not readable"):
        train(student, data, SHORT, [0], checkpoint=tmp_path)


def test_values_that_are_not_finite_stop_the_training() -> None:
    student, data = some_student(), some_data()
    data.values["image"][3, 0, 2, 2] = float("nan")
    with pytest.raises(NumericsError, match="seed 9") as caught:
        train(student, data, SHORT, [9])
    assert "epoch 0" in str(caught.value)


def test_small_and_odd_sets() -> None:
    student = some_student()
    for n in (1, 6):  # one item; a last batch of one item
        weights = train(student, some_data(n), SHORT, [0])
        assert predict(student, weights, some_data(n))[0]["image"].shape == (n, 3)
    with pytest.raises(DataError):
        train(student, some_data(0), SHORT, [0])


def test_predictions_do_not_hang_on_the_chunk() -> None:
    student, data = some_student(), some_data()
    networks = [student.init(s) for s in (0, 1)]
    small, large = predict(student, networks, data, chunk=4), predict(student, networks, data)
    for a, b in zip(small, large, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name])
    assert not torch.allclose(small[0]["image"], small[1]["image"])


def test_heads_start_as_the_code_says() -> None:
    student = some_student(32)
    weights = student.init(0)
    head, bias = weights["image/head.weight"], weights["image/head.bias"]
    assert abs(float(head.std()) / 1e-4 - 1) < 0.1
    bound = student.encoders["image"].embedding ** -0.5
    assert 0 < float(bias.abs().max()) <= bound


def test_rows_are_normalised_as_asked(toy) -> None:  # type: ignore[no-untyped-def]
    rows = toy.rows("train")[:4]
    own = Rows(toy, rows, toy.modalities)
    index = torch.tensor([2, 0])
    for name in toy.modalities:
        assert torch.equal(own.batch(index)[name], toy.batch(name, rows[[2, 0]]))
    other = {"image": toy.modalities["image"].with_statistics((0.0,), (1.0,))}
    raw = Rows(toy, rows, other).batch(index)
    assert list(raw) == ["image"]
    torch.testing.assert_close(raw["image"], toy.modalities["image"].denormalise(own.batch(index)["image"]))
    assert np.array_equal(own.labels.numpy(), toy.labels[rows])


def test_learning_happens(toy) -> None:  # type: ignore[no-untyped-def]
    chosen = {"image": toy.modalities["image"]}
    student = Student(encoders_for(chosen, channels=8), chosen, 4)
    networks = train(student, Rows.labelled(toy, "train", chosen), Recipe(epochs=20, rates={"image": 1e-3}), [0])
    test = Rows.labelled(toy, "test", chosen)
    right = predict(student, networks, test)[0]["image"].argmax(1) == test.labels
    assert right.float().mean() > 0.8


def test_wrong_uses_are_told() -> None:
    with pytest.raises(ConfigError):
        Student(encoders_for(some_modalities(), channels=2), {"image": some_modalities()["image"]}, 3)
    with pytest.raises(ConfigError, match="no learning rate for feature"):
        train(some_student(), some_data(), Recipe(rates={"image": 1e-4, "audio": 1e-3}), [0])
    assert list(chunks([1, 2, 3], 2)) == [[1, 2], [3]]


def test_the_heads_rate_follows_the_width():
    """A head adds up D features, so that the published rate is one of 6272 of them."""
    data, student = some_data(), some_student()
    width = next(iter(student.encoders.values())).embedding
    ruled = train(student, data, dataclasses.replace(SHORT, head_rule="width"), [0])[0]
    by_hand = train(student, data, dataclasses.replace(SHORT, head_rate=1e-4 * 6272 / width), [0])[0]
    plain = train(student, data, SHORT, [0])[0]
    assert same(ruled, by_hand)
    assert not same(ruled, plain)

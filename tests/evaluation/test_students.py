from __future__ import annotations

from typing import Any

import pytest
import torch

from limbeck.data.toy import make_toy
from limbeck.errors import ConfigError
from limbeck.evaluation.students import STUDENTS, build_student
from limbeck.modalities import Feature, Image
from limbeck.training import Recipe, Tensors, train

RECIPE = Recipe(epochs=1, batch=2, rates=dict.fromkeys(("image", "audio", "feature"), 1e-3), head_rate=1e-3)
SIZES: dict[str, dict[str, Any]] = {
    "16 x 16, colour": {"image_size": 16, "mel": (16, 16)},
    "28 x 28, grey": {"image_size": 28, "mel": (32, 32), "channels": 1},
    "128 x 56 sound": {"modalities": ("audio", "feature"), "mel": (128, 56)},
}


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By size, the modalities of a toy store and its training items, few where they are large."""
    found = {}
    for name, settings in SIZES.items():
        few = 2 if "16" in name else 1
        store = make_toy(tmp_path_factory.mktemp("toy") / "store", classes=2, per_class=(few, 1, 1), **settings)
        rows = store.rows("train")
        values = {m: store.batch(m, rows) for m in store.modalities}
        found[name] = store.modalities, Tensors(values, torch.as_tensor(store.labels[rows].copy()))
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", STUDENTS)
def test_each_trains_an_epoch_at_any_size_to_the_same_bits(items: dict[str, Any], name: str, size: str) -> None:
    modalities, data = items[size]
    student = build_student(name, modalities, 2, channels=8)
    before = student.init(0)
    first, again = (train(student, data, RECIPE, [0])[0] for _ in range(2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    moved = [k for k in first if not torch.equal(first[k], before[k])]
    assert {k.partition("/")[0] for k in moved} == set(modalities)
    assert len(moved) == len(first)
    batch = data.batch(torch.arange(len(data)))
    for m, logits in student.logits(first, batch).items():
        assert logits.shape == (len(data), 2)
        spread = float(student.embed(first, batch)[m].std(0).max())
        assert spread > 1e-4, f"{name} maps all of {m} to one point"


def test_all_but_the_convnet_keep_their_width() -> None:
    modalities = {"image": Image(shape=(3, 32, 32)), "feature": Feature(shape=(5,))}
    widths = {}
    for name, architecture in STUDENTS.items():
        assert architecture.description
        assert "\n" not in architecture.description
        narrow, wide = (build_student(name, modalities, 2, channels=c) for c in (8, 16))
        widths[name] = [s.encoders["image"].embedding for s in (narrow, wide)]
        assert narrow.encoders["feature"].embedding == widths[name][0]  # vectors as wide as pictures
    assert widths == {
        "convnet": [128, 256], "lenet": [84] * 2, "alexnet": [3072] * 2, "vgg11": [512] * 2, "resnet18": [512] * 2,
        "imagebind-tiny": [128] * 2, "imagebind-base": [512] * 2,
    }  # fmt: skip


def test_kernels_and_precision() -> None:
    modalities = {"image": Image(shape=(3, 16, 16))}
    fused = build_student("vgg11", modalities, 2, kernels="fused", precision="bf16")
    assert fused.encoders == build_student("vgg11", modalities, 2, precision="bf16").encoders
    assert fused.encoders != build_student("vgg11", modalities, 2).encoders


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        build_student("resnet", {"image": Image(shape=(3, 16, 16))}, 2)
    with pytest.raises(ConfigError, match="resnet18 takes items of 9 x 9 and larger, these are 8 x 8"):
        build_student("resnet18", {"image": Image(shape=(3, 8, 8))}, 2)

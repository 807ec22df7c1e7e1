"""A similarity is part of its set: counted, kept, and refused where it does not fit."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import limbeck
from limbeck.errors import ConfigError, FormatError, NumericsError, ShapeError
from limbeck.files import read_json
from limbeck.modalities import Image, Text
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.artifact import MANIFEST
from limbeck.synthetic.similarity import Factors, Similarity
from tests.synthetic.test_set import forge

ALIKE = ("similarity.weight", "similarity.left", "similarity.right")


def numbers(name, *shape):
    return torch.randn(*shape, generator=stream(0, name))


@pytest.fixture
def synthetic():
    return SyntheticSet(
        modalities={"image": Image(shape=(3, 4, 4)), "text": Text(shape=(5,))},
        values={"image": numbers("image", 6, 3, 4, 4), "text": numbers("text", 6, 5)},
        similarity=Similarity(Factors(numbers("w", 6), numbers("l", 6, 2), numbers("r", 6, 2)), 3.0),
    )


def test_it_comes_back_with_the_set(synthetic, tmp_path):
    again = limbeck.load(synthetic.save(tmp_path / "one"))
    assert torch.equal(again.similarity.full(), synthetic.similarity.full())
    assert again.similarity.alpha == 3.0
    assert again.bytes == synthetic.bytes == 4 * 6 * (48 + 5 + 1 + 2 + 2)


def test_only_a_set_with_one_is_of_the_new_version(synthetic, tmp_path):
    synthetic.save(tmp_path / "with")
    dataclasses.replace(synthetic, similarity=None).save(tmp_path / "without")
    one, two = (read_json(tmp_path / name / MANIFEST) for name in ("with", "without"))
    assert (one["version"], two["version"]) == (2, 1)
    assert one["similarity"] == {"alpha": 3.0}
    assert "similarity" not in two
    assert limbeck.load(tmp_path / "without").similarity is None


def test_one_that_learns_is_saved_without_its_graph(synthetic, tmp_path):
    for factor in synthetic.similarity.factors:
        factor.requires_grad_()
    assert not limbeck.load(synthetic.save(tmp_path / "one")).similarity.full().requires_grad


def test_one_of_other_pairs_is_refused(synthetic):
    fewer = Similarity(synthetic.similarity.factors.rows(torch.arange(5)), 3.0)
    with pytest.raises(ShapeError, match="pair up"):
        dataclasses.replace(synthetic, similarity=fewer)
    image = {"image": synthetic.modalities["image"]}
    with pytest.raises(ConfigError, match="whole pairs"):
        SyntheticSet(image, {"image": synthetic.values["image"]}, factor=2, similarity=synthetic.similarity)


def test_one_that_is_not_finite_is_not_written(synthetic, tmp_path):
    synthetic.similarity.factors.left[2, 1] = float("nan")
    with pytest.raises(NumericsError, match=r"similarity\.left"):
        synthetic.save(tmp_path / "one")
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"similarity": KeyError},
        {"version": 1},
        *({"similarity": v} for v in (None, [], 3, {}, {"alpha": None}, {"alpha": "1"}, {"alpha": True})),
        {"similarity": {"alpha": 10**400}},
        {"items": 5},
    ],
)
def test_a_hostile_manifest_with_one_is_refused_by_name(synthetic, tmp_path, change):
    synthetic.save(tmp_path / "one")
    forge(tmp_path / "one", change)
    with pytest.raises(FormatError) as caught:
        limbeck.load(tmp_path / "one")
    assert MANIFEST in str(caught.value)


@pytest.mark.parametrize(
    "tensors",
    [
        *({name: None} for name in ALIKE),
        {"similarity.weight": torch.ones(5)},
        {"similarity.weight": torch.ones(6, 1)},
        {"similarity.weight": torch.tensor(1.0)},
        {"similarity.left": torch.ones(6, 3)},
        {"similarity.left": torch.ones(6, 0), "similarity.right": torch.ones(6, 0)},
        {"similarity.right": torch.ones(6, 2, dtype=torch.float64)},
        {"similarity.right": torch.full((6, 2), float("inf"))},
        {"similarity.more": torch.ones(6)},
        dict(zip(ALIKE, (torch.ones(5), torch.ones(5, 2), torch.ones(5, 2)), strict=True)),
    ],
)
def test_hostile_factors_are_refused_by_name(synthetic, tmp_path, tensors):
    synthetic.save(tmp_path / "one")
    forge(tmp_path / "one", tensors=tensors)
    with pytest.raises(FormatError) as caught:
        limbeck.load(tmp_path / "one")
    assert str(tmp_path / "one" / "synthetic") in str(caught.value)


def test_factors_beside_a_plain_manifest_are_refused(synthetic, tmp_path):
    dataclasses.replace(synthetic, similarity=None).save(tmp_path / "one")
    forge(tmp_path / "one", tensors={"similarity.weight": torch.ones(6)})
    with pytest.raises(FormatError, match="are not those"):
        limbeck.load(tmp_path / "one")

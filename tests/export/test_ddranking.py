"""DD-Ranking's tensor files: plain tensors, sorted by class, normalised as the file beside them says."""

from __future__ import annotations

import json

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.export import export
from limbeck.modalities import Image
from limbeck.synthetic import SyntheticSet
from tests.export.sets import heard, paired


def tensor(path):
    return torch.load(path, weights_only=True)


def test_tensors_are_the_decoded_items_sorted_by_class(tmp_path):
    synthetic = heard()
    out = export(synthetic, tmp_path / "out", to="ddranking")
    batch, labels = synthetic.decode()
    images, found = tensor(out / "images.pt"), tensor(out / "labels.pt")
    assert (images.shape, images.dtype, found.dtype) == ((24, 3, 8, 8), torch.float32, torch.int64)
    # what its evaluators assume where they are told no labels
    assert found.tolist() == [k for k in range(3) for _ in range(8)]
    about = json.loads((out / "ddranking.json").read_text())
    rows = torch.tensor(about["items"])
    assert sorted(about["items"]) == list(range(24))
    assert bool((labels[rows] == found).all())
    assert bool((images == batch["image"][rows]).all())
    assert bool((tensor(out / "sound.pt") == batch["sound"][rows]).all())
    told = about["files"]["images.pt"]
    again = images * torch.tensor(told["std"]).view(1, 3, 1, 1) + torch.tensor(told["mean"]).view(1, 3, 1, 1)
    assert torch.allclose(again, synthetic.modalities["image"].denormalise(batch["image"][rows]))
    assert about["classes"] == list(synthetic.classes)


def test_a_learnt_step_size_goes_with_it(tmp_path):
    synthetic = heard(factor=1, captions=False)
    assert not (export(synthetic, tmp_path / "1", to="ddranking") / "lr.pt").exists()
    synthetic.provenance["step_sizes"] = {"image": 0.03, "sound": 0.1}
    assert tensor(export(synthetic, tmp_path / "2", to="ddranking") / "lr.pt").item() == pytest.approx(0.03)


def test_sets_it_has_no_score_of_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="by pair"):
        export(paired(), tmp_path / "out", to="ddranking")
    values = {"image": torch.zeros(1, 3, 2, 2), "labels": torch.zeros(1, 3, 2, 2)}
    modalities = {name: Image(name=name, shape=(3, 2, 2)) for name in values}
    with pytest.raises(ConfigError, match="'labels'"):
        export(SyntheticSet(modalities, values, torch.tensor([0]), ("a",)), tmp_path / "out", to="ddranking")
    assert not list(tmp_path.iterdir())


def test_equal_sets_give_equal_files(tmp_path):
    for name in ("1", "2"):
        export(heard(), tmp_path / name, to="ddranking")
    for file in ("images.pt", "labels.pt", "sound.pt", "ddranking.json"):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck
from limbeck.banks import dynamics
from limbeck.banks.dynamics import Dynamics
from limbeck.data.toy import make_toy
from limbeck.errors import ConfigError, DataError
from limbeck.files import read_json
from limbeck.selection.forgetting import forgetting_counts

CHOOSING = ("kcenter", "forgetting", "grand")


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The toy set, but with items that are learnt and forgotten."""
    return make_toy(tmp_path_factory.mktemp("hard") / "store", difficulty=4.0)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "RECIPE", dataclasses.replace(dynamics.RECIPE, batch=8))
    monkeypatch.setattr(dynamics, "NETWORKS", 2)


def distil(name: str, store: Any, out: Path, small: dict[str, Any], **changes: Any) -> Any:
    return limbeck.distill(name, store, out=out, **{**small, "per_class": 2, **changes})


def picked(synthetic: Any) -> list[list[str]]:
    return [list(cells) for cells in synthetic.provenance["real_items"]]


@pytest.mark.parametrize("name", CHOOSING)
def test_a_factor_packs_the_first_picks_and_other_methods_start_from_them(
    hard: Any, tmp_path: Path, small: dict[str, Any], name: str
) -> None:
    eight = picked(distil(name, hard, tmp_path / "8", small, per_class=8))
    packed = picked(distil(name, hard, tmp_path / "2x4", small, factor=2))
    started = picked(distil("dm", hard, tmp_path / "dm", small, init=name, steps=1, factor=2))
    assert len(eight) == 32
    for label in range(4):
        first = [cells[0] for cells in eight[8 * label : 8 * label + 8]]
        assert packed[2 * label] == first[0::2]  # picks 0 and 1 are the two top-left cells, 2 and 3 the next
        assert packed[2 * label + 1] == first[1::2]
    assert started == packed


@pytest.mark.parametrize("name", CHOOSING)
def test_one_modality_chooses_by_what_it_shows_alone(
    hard: Any, tmp_path: Path, small: dict[str, Any], name: str
) -> None:
    sets = {
        names: picked(distil(name, hard, tmp_path / "+".join(names), small, per_class=6, modalities=names))
        for names in (("image",), ("audio",), ("image", "audio"))
    }
    assert sets["image",] != sets["audio",] != sets["image", "audio"] != sets["image",]


def test_forgetting_s_settings_reach_the_choice(hard: Any, tmp_path: Path, small: dict[str, Any]) -> None:
    train = hard.rows("train")
    history = Dynamics(hard, hard.modalities, 0, channels=8).history()
    counts, learnt = forgetting_counts(history)
    by_id = {hard.ids[row]: (counts[i], learnt[i]) for i, row in enumerate(train)}

    def chosen(out: str, **method: Any) -> list[Any]:
        done = distil("forgetting", hard, tmp_path / out, small, per_class=5, method_settings=method)
        return [[by_id[cells[0]] for cells in picked(done)[5 * c : 5 * c + 5]] for c in range(4)]

    assert counts.max() > 1
    for label in range(4):
        at = np.searchsorted(train, hard.rows("train", label))
        mine, known = counts[at], learnt[at]
        rule = np.where(known, mine, 99)
        most, least, zero = chosen("most")[label], chosen("least", order="least")[label], None
        assert sorted(c if k else 99 for c, k in most) == sorted(rule)[-5:]
        assert sorted(c if k else 99 for c, k in least) == sorted(rule)[:5]
        zero = chosen("zero", never_learnt="zero")[label]
        assert sorted(c for c, _ in zero) == sorted(mine)[-5:]
        for folder in ("most", "least", "zero"):
            (tmp_path / folder).rename(tmp_path / f"{folder}-{label}")
    assert read_json(tmp_path / "least-0" / "config.json")["method"] == {"order": "least", "never_learnt": "most"}


def by_pairs(name: str, store: Any, out: Path, small: dict[str, Any], **changes: Any) -> Any:
    towers = {"tower": "convnet", "pretrained": "none"}
    return distil(name, store, out, small, **{"per_class": None, "pairs": 12, **towers, **changes})


@pytest.mark.parametrize("name", ["random", "herding", "kcenter", "forgetting", "kmeans"])
def test_pairs_are_chosen_over_all_classes(hard: Any, tmp_path: Path, small: dict[str, Any], name: str) -> None:
    done = by_pairs(name, hard, tmp_path / "run", small)
    ids = [cells[0] for cells in picked(done)]
    assert len(set(ids)) == 12
    assert set(ids) <= {hard.ids[row] for row in hard.rows("train")}
    assert done.labels.tolist() == [int(hard.labels[hard.ids.index(i)]) for i in ids]
    assert done.provenance["method"] == name
    assert picked(limbeck.load(tmp_path / "run")) == picked(done)
    ten = by_pairs(name, hard, tmp_path / "10", small, pairs=10)
    assert (picked(ten) == picked(done)[:10]) == (name != "kmeans")  # clusters are others where there are fewer


def test_of_other_budgets_in_pairs_items_are_chosen_as_ever(hard: Any, tmp_path: Path, small: dict[str, Any]) -> None:
    for out, changes in (("factor", {"factor": 2}), ("one", {"modalities": ("image",)})):
        done = distil("kcenter", hard, tmp_path / out, small, per_class=None, pairs=4, **changes)
        assert len(done) == 4


def test_what_a_choice_cannot_be_asked(hard: Any, tmp_path: Path, small: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="grand takes no budget by pairs"):
        distil("grand", hard, tmp_path / "run", small, per_class=None, pairs=4)
    with pytest.raises(ConfigError, match="kmeans takes no budget by class"):
        distil("kmeans", hard, tmp_path / "run", small)
    with pytest.raises(ConfigError, match=r"kmeans needs 2 modalities, this set has 1"):
        distil("kmeans", hard, tmp_path / "run", small, per_class=None, pairs=4, modalities=("image",))
    for changes in ({"factor": 2}, {"modalities": ("image",)}):
        with pytest.raises(ConfigError, match="forgetting looks at pairs through two towers"):
            distil("forgetting", hard, tmp_path / "run", small, per_class=None, pairs=4, **changes)
    with pytest.raises(ConfigError, match=r"method\.cluster is 'both'"):
        by_pairs("kmeans", hard, tmp_path / "run", small, method_settings={"cluster": "both"})
    with pytest.raises(ConfigError, match="forgetting is a choice of real items itself, --init random is another"):
        distil("forgetting", hard, tmp_path / "run", small, init="random")
    with pytest.raises(ConfigError, match="takes no steps"):
        distil("grand", hard, tmp_path / "run", small, steps=1)
    with pytest.raises(ConfigError, match=r"method\.order is 'mots'"):
        distil("forgetting", hard, tmp_path / "run", small, method_settings={"order": "mots"})
    with pytest.raises(DataError, match="class"):
        distil("grand", hard, tmp_path / "run", small, per_class=21)
    with pytest.raises(ConfigError, match="Did you mean 'forgetting'"):
        distil("dm", hard, tmp_path / "run", small, init="forgeting", steps=1)

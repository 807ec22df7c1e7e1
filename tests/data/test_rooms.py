"""The generated depth and scene-name set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limbeck.data import furniture, open_data
from limbeck.data.catalogue import datasets
from limbeck.data.rooms import RECIPE, SCENES, make_rooms, open_rooms, render
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError

EMPTY = np.zeros((0, 10))
SIZE, EYE = np.array([4.0, 3.0]), np.array([1.0, 1.5, 1.5])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PairedStore:
    return make_rooms(tmp_path_factory.mktemp("rooms") / "store", per_class=(4, 1, 2))


# -- rays --------------------------------------------------------------------------------------------------------------


def box(x: float, y: float, z: float, side: float, turn: float = 0.0) -> np.ndarray:
    return np.array([[x, y, np.cos(turn), np.sin(turn), 0, side, 0, side, z, z + side]])


def test_the_wall_ahead_is_as_far_as_it_is() -> None:
    """Depth along the optical axis: a wall the camera faces is equally far at every pixel that shows it."""
    for turn, metres in ((0.0, 3.0), (np.pi / 2, 1.5), (np.pi, 1.0), (-np.pi / 2, 1.5)):
        seen = render(EMPTY, SIZE, 3.0, EYE, turn, 0.0, 9)
        assert seen[4, 4] == pytest.approx(metres)
        assert np.allclose(seen[3:6, 3:6], metres)
        assert seen.max() == pytest.approx(metres)
    floor = render(EMPTY, SIZE, 3.0, EYE, 0.0, -np.pi / 2, 9)
    assert np.allclose(floor[4, 4], 1.5)


def test_up_is_up_and_right_is_right() -> None:
    seen = render(box(2.0, 0.0, 0.0, 1.0), SIZE, 3.0, EYE, 0.0, 0.0, 32)  # ahead, below and to the right (y is left)
    near = np.argwhere(np.isclose(seen, 1.0))
    assert len(near) > 20
    assert near[:, 0].min() >= 16
    assert near[:, 1].min() >= 16


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.2])
def test_a_ray_meets_the_face_of_a_turned_box(turn: float) -> None:
    """Against a plain march along the central rays in millimetre steps."""
    boxes, tilt, pixels = box(2.2, 1.3, 1.0, 0.6, turn), -0.1, 3
    seen = render(boxes, SIZE, 3.0, EYE, 0.1, tilt, pixels)
    forward = np.array([np.cos(tilt) * np.cos(0.1), np.cos(tilt) * np.sin(0.1), np.sin(tilt)])
    for step in np.arange(0, 5, 0.001):
        x, y, z = EYE + step * forward
        dx, dy = x - 2.2, y - 1.3
        u, v = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
        if not (0 < x < 4 and 0 < y < 3 and 0 < z < 3) or (0 <= u <= 0.6 and 0 <= v <= 0.6 and 1.0 <= z <= 1.6):
            break
    assert seen[1, 1] == pytest.approx(step, abs=0.003)


def test_every_scene_is_made_of_furniture_there_is() -> None:
    for scene in SCENES.values():
        for piece, most, where in scene.pieces:
            assert furniture.PIECES[piece][0] in furniture.SHAPES
            assert most >= 1
            assert where in ("wall", "middle", "ring", "rows")
    for parts in furniture.SHAPES.values():
        assert all(0 <= a < b <= 1 for part in parts for a, b in zip(part[::2], part[1::2], strict=True))


# -- the set -----------------------------------------------------------------------------------------------------------


def test_what_it_holds(store: PairedStore) -> None:
    assert {name: m.shape for name, m in store.modalities.items()} == {"depth": (1, 32, 32), "text": (384,)}
    assert store.classes == tuple(SCENES)
    assert len(store.classes) == 10
    assert store.summary()["splits"] == {"train": 40, "validation": 10, "test": 20}
    assert list(store.captions) == [(store.classes[label],) for label in store.labels]
    assert store.settings["text_is_label"] is True
    text = store.batch("text", store.rows("test"))
    assert text.norm(dim=1).tolist() == pytest.approx([1] * 20, abs=1e-3)
    assert len({tuple(row.tolist()) for row in text}) == 10


def test_depths_are_a_rooms_and_some_are_missing(store: PairedStore) -> None:
    depth = store.stored("depth", range(len(store))).numpy().astype(float)
    assert 400 <= depth[depth > 0].min() < 1500 < depth.max() <= 8000
    assert 0.005 < (depth == 0).mean() < 0.2
    assert ((depth > 0).mean(axis=(1, 2, 3)) > 0.3).all()  # no camera stands inside a cupboard
    assert len(np.unique(depth.reshape(len(depth), -1), axis=0)) == len(depth)


def test_the_same_seed_gives_the_same_rooms_however_many_there_are(store: PairedStore, tmp_path: Path) -> None:
    few = make_rooms(tmp_path / "few", per_class=(1, 0, 0))
    ids = list(store.ids)
    for k, name in enumerate(few.ids):
        assert np.array_equal(few.stored("depth", [k]).numpy(), store.stored("depth", [ids.index(name)]).numpy())
    other = make_rooms(tmp_path / "other", per_class=(1, 0, 0), seed=1)
    assert not np.array_equal(other.stored("depth", [0]).numpy(), few.stored("depth", [0]).numpy())
    again = make_rooms(tmp_path / "again", per_class=(1, 0, 0))
    assert again.data_hash == few.data_hash


def test_it_is_made_once_and_opens_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    monkeypatch.setitem(RECIPE, "per_class", [1, 1, 1])
    monkeypatch.setattr(make_rooms, "__kwdefaults__", {**(make_rooms.__kwdefaults__ or {}), "per_class": (1, 1, 1)})
    first = open_data("rooms")
    assert first.path.parent == tmp_path
    assert len(first) == 30
    monkeypatch.setattr("limbeck.data.rooms.make_rooms", None)  # nothing is made again
    assert open_rooms().data_hash == first.data_hash
    assert "rooms" in {entry["name"] for entry in datasets()}


@pytest.mark.parametrize("counts", [(0, 0, 0), (1, -1, 1), (1, 1)])
def test_counts_that_make_no_set(counts: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="number of items"):
        make_rooms(tmp_path / "s", per_class=counts)

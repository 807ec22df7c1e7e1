"""The generated set ``rooms``: depth maps of ten kinds of furnished rooms, each with the name of its kind. No download.

**Nothing here was measured.** Rays are cast from a camera into a box with furniture that is made of boxes. Kinds differ
by size and by what furniture is likely (:mod:`limbeck.data.furniture`); much of it is shared, and every room has a
layout, a camera, some of another kind's furniture and a sensor's faults of its own. The ten names are scene types of
NYU-v2, whose place the set takes where that is not at hand: a depth map and a scene name an item. The text **is** the
label, and the store's settings say so (``text_is_label``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.data.furniture import PIECES, SCENES, SHAPES, Scene
from limbeck.data.meta import SPLITS
from limbeck.errors import ConfigError
from limbeck.files import digest_of
from limbeck.modalities import Depth, Text
from limbeck.rng import numpy_stream

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["RECIPE", "SCENES", "make_rooms", "open_rooms", "render"]

Array = np.ndarray[Any, np.dtype[np.float64]]

RECIPE: dict[str, Any] = {
    "version": 1,
    "size": 32,
    "per_class": [60, 10, 20],
    "field_of_view": 80.0,
    "strangers": 1,
    "clutter": 1,
    "present": 0.95,
    "noise": 0.003,
    "holes": 1,
    "reach": 8.0,
}
"""Everything the set is made of, beside its furniture; part of the folder's name and of the store's settings."""

TRIES = 2
"""Cameras that are tried. The one with the freest view takes the picture: nobody films a cupboard from a hand away."""


def _furnish(scene: Scene, size: Array, draw: np.random.Generator) -> Array:
    """(B, 10) boxes of a room of ``size`` (length, width), as :func:`render` takes them."""
    wanted = [entry for entry in scene.pieces for _ in range(entry[1]) if draw.random() < RECIPE["present"]]
    others = list(SCENES.values())
    for _ in range(draw.integers(RECIPE["strangers"] + 1)):
        foreign = others[draw.integers(len(others))].pieces
        wanted.append(foreign[draw.integers(len(foreign))])
    wanted += [("box", 1, "middle")] * int(draw.integers(RECIPE["clutter"] + 1))
    slots = draw.permutation(12)
    boxes: list[tuple[float, ...]] = []
    for k, (piece, _, where) in enumerate(wanted):
        shape, *ranges = PIECES[piece]
        extent = np.array([draw.uniform(*r) for r in ranges])
        x, y, turn = _place(where, int(slots[k % 12]), extent, size, draw)
        cos, sin = np.cos(turn), np.sin(turn)
        for part in SHAPES[shape]:
            spans = (np.array(part).reshape(3, 2) * extent[:, None]).ravel()
            boxes.append((x, y, cos, sin, *spans))
    return np.array(boxes).reshape(-1, 10)


def _place(where: str, slot: int, extent: Array, size: Array, draw: np.random.Generator) -> tuple[float, float, float]:
    """x, y and turn of a piece's back corner."""
    if where == "wall":
        side = int(draw.integers(4))
        along = size[side % 2]
        start = draw.uniform(0, max(0.05, along - extent[0]))
        corner = ((start, 0), (size[0], start), (along - start, size[1]), (0, along - start))[side]
        return corner[0], corner[1], side * np.pi / 2
    if where == "rows":
        column, row = slot % 3, slot // 3
        x = (column + draw.uniform(0.1, 0.3)) * size[0] / 3
        return x, (row + draw.uniform(0.1, 0.4)) * size[1] / 4, draw.normal(0, 0.08)
    if where == "ring":  # around what stands in the middle
        angle = slot * np.pi / 6
        x, y = size * (0.5 + 0.32 * np.array([np.cos(angle), np.sin(angle)]))
        return x, y, angle + np.pi / 2 + draw.normal(0, 0.2)
    centre = size * draw.uniform(0.35, 0.65, 2)
    turn = draw.integers(4) * np.pi / 2 + draw.normal(0, 0.3)
    return centre[0] - extent[0] / 2 * np.cos(turn), centre[1] - extent[0] / 2 * np.sin(turn), turn


def render(boxes: Array, size: Array, height: float, eye: Array, turn: float, tilt: float, pixels: int) -> Array:
    """(pixels, pixels) metres along the optical axis, by casting a ray a pixel into a room with boxes in it.

    Args:
        boxes: (B, 10): corner x, y and (cosine, sine) of the turn, then x, y and z from and to in the turned frame.
        size, height: of the room, which reaches from 0 to these; metres.
        eye: (3,) where the camera is, in the room.
        turn, tilt: where it looks, radians from the x axis and from the horizon.
    """
    reach = np.tan(np.radians(RECIPE["field_of_view"]) / 2)
    grid = reach * (2 * (np.arange(pixels) + 0.5) / pixels - 1)
    right, down = (a.ravel() for a in np.meshgrid(grid, grid))
    ahead, up = np.cos(tilt) + down * np.sin(tilt), np.sin(tilt) - down * np.cos(tilt)
    # one unit along the optical axis: what a ray is multiplied with is depth, not distance
    x, y = ahead * np.cos(turn) + right * np.sin(turn), ahead * np.sin(turn) - right * np.cos(turn)
    rays = np.stack([x, y, up])
    rays = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    bounds = np.array([*size, height])[:, None]
    nearest: Array = (np.where(rays > 0, bounds - eye[:, None], -eye[:, None]) / rays).min(axis=0)
    if len(boxes):
        cos, sin = boxes[:, 2], boxes[:, 3]
        at = eye[:2, None] - boxes[:, :2].T
        starts = np.stack([cos * at[0] + sin * at[1], cos * at[1] - sin * at[0], np.full(len(boxes), eye[2])], axis=1)
        along = cos[:, None] * rays[0] + sin[:, None] * rays[1], cos[:, None] * rays[1] - sin[:, None] * rays[0]
        turned = np.stack([*along, np.broadcast_to(rays[2], along[0].shape)], axis=1)
        turned = np.where(np.abs(turned) < 1e-9, 1e-9, turned)
        low, high = boxes[:, 4::2, None], boxes[:, 5::2, None]
        ends = np.stack([(low - starts[..., None]) / turned, (high - starts[..., None]) / turned])
        enter, leave = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
        hit = (enter < leave) & (enter > 0)
        nearest = np.minimum(nearest, np.where(hit, enter, np.inf).min(axis=0))
    return nearest.reshape(pixels, pixels)


def _view(boxes: Array, size: Array, height: float, draw: np.random.Generator) -> Array:
    """(pixels, pixels) metres seen from one of the short walls, towards the middle."""
    where = draw.choice([0.06, 0.94]), draw.uniform(0.2, 0.8)
    eye = np.array([*(np.array(where) * size), draw.uniform(1.3, 1.7)])
    aim = size * draw.uniform(0.35, 0.65, 2) - eye[:2]
    turn, tilt = np.arctan2(aim[1], aim[0]) + draw.normal(0, 0.1), draw.uniform(-0.4, -0.15)
    return render(boxes, size, height, eye, turn, tilt, int(RECIPE["size"]))


def _room(scene: Scene, draw: np.random.Generator) -> Array:
    """(pixels, pixels) metres of one room as a sensor sees it; 0 where it reads nothing."""
    size = np.array([draw.uniform(*scene.length), draw.uniform(*scene.width)])
    boxes, pixels = _furnish(scene, size, draw), int(RECIPE["size"])
    height = draw.uniform(2.4, 3.0)
    views = (_view(boxes, size, height, draw) for _ in range(TRIES))
    depth = max(views, key=lambda view: float(np.median(view)))
    depth = depth + RECIPE["noise"] * np.square(depth) * draw.standard_normal(depth.shape)
    seen = (depth > 0.4) & (depth < RECIPE["reach"]) & (draw.random(depth.shape) > 0.005)
    for _ in range(draw.integers(RECIPE["holes"] + 1)):  # windows, mirrors, shiny floors
        top, left, tall, wide = draw.integers(0, (pixels, pixels, pixels // 4, pixels // 4))
        seen[top : top + tall + 1, left : left + wide + 1] = False
    return np.where(seen, depth, 0.0)


def _entries(per_class: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """(split, class, number) in the order of a store's rows."""
    for split, count in zip(SPLITS, per_class, strict=True):
        for label in range(len(SCENES)):
            yield from ((split, label, k) for k in range(count))


def make_rooms(
    path: str | Path,
    *,
    per_class: Sequence[int] = tuple(RECIPE["per_class"]),
    embedding: str = "hashing",
    seed: int = 0,
) -> PairedStore:
    """Generate the set: ``depth`` (1, 32, 32) and ``text`` (384,), ten classes.

    Args:
        path: of the new store.
        per_class: items of each class in train, validation, test. An item does not depend on how many there are.
        embedding: of the scenes' names, see :func:`limbeck.data.embedding.embed_captions`.

    Raises ConfigError on counts that make no set.
    """
    from limbeck.data.embedding import embed_captions
    from limbeck.data.writer import StoreWriter

    if len(per_class) != len(SPLITS) or min(per_class) < 0 or sum(per_class) < 1:
        raise ConfigError("needs a number of items for each of train, validation and test", where="rooms")
    names, width = list(SCENES), 384
    texts = embed_captions([(name,) for name in names], embedding=embedding, width=width)
    depth, text = Depth(shape=(1, RECIPE["size"], RECIPE["size"])), Text(shape=(width,), embedding=embedding)
    settings = {**json.loads(json.dumps(RECIPE)), "source": "rooms, generated", "seed": seed, "text_is_label": True}
    settings["per_class"] = list(per_class)
    entries = list(_entries(per_class))
    with StoreWriter(
        path,
        name="rooms",
        modalities=[depth, text],
        classes=names,
        settings=settings,
        capacity=len(entries),
        resume=False,
    ) as writer:
        for row, (split, label, k) in enumerate(entries):
            metres = _room(SCENES[names[label]], numpy_stream(seed, "rooms", split, label, k))
            millimetres = np.rint(metres * 1000).astype(np.uint16)[None]
            arrays = {"depth": millimetres, "text": texts[label]}
            name = f"{split}-{names[label].replace(' ', '-')}-{k:03d}"
            writer.write(row, id=name, label=label, split=split, captions=(names[label],), arrays=arrays)
        return writer.finish()


def open_rooms() -> PairedStore:
    """The default set (600 + 100 + 200 items), made on first use. Raises FormatError where what is kept is damaged."""
    from filelock import FileLock

    from limbeck.data import cache_root
    from limbeck.data.store import PairedStore

    tables = {"recipe": RECIPE, "scenes": repr(SCENES), "pieces": PIECES, "shapes": SHAPES}
    path = cache_root() / f"rooms-v{RECIPE['version']}-{digest_of(tables)[:10]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path) + ".make.lock"):  # several processes may ask for it at once
        return PairedStore.open(path) if path.exists() else make_rooms(path)

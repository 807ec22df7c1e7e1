"""What the rooms of :mod:`limbeck.data.rooms` are furnished with. Sizes are what such things have, by eye."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PIECES", "SCENES", "SHAPES", "Scene"]

Range = tuple[float, float]

SHAPES: dict[str, tuple[tuple[float, ...], ...]] = {
    "block": ((0, 1, 0, 1, 0, 1),),
    "table": ((0, 1, 0, 1, 0.93, 1), (0, 0.06, 0, 1, 0, 0.93), (0.94, 1, 0, 1, 0, 0.93)),
    "chair": ((0, 1, 0, 1, 0, 0.5), (0, 1, 0, 0.15, 0.5, 1)),
    "sofa": ((0, 1, 0, 1, 0, 0.5), (0, 1, 0, 0.3, 0.5, 1), (0, 0.12, 0, 1, 0.5, 0.75), (0.88, 1, 0, 1, 0.5, 0.75)),
    "shelf": ((0, 1, 0, 0.2, 0, 1), *((0, 1, 0, 1, z, z + 0.1) for z in (0, 0.3, 0.6, 0.9))),
    "unit": ((0, 1, 0, 1, 0, 0.4), (0, 1, 0, 0.6, 0.65, 1)),
    "hung": ((0, 1, 0, 1, 0.6, 1),),
}
"""Parts of a piece: x, y and z from and to, in shares of its width, depth and height; its back is at y = 0."""

PIECES: dict[str, tuple[str, Range, Range, Range]] = {
    "bath": ("block", (1.4, 1.8), (0.7, 0.9), (0.45, 0.6)),
    "basin": ("block", (0.5, 1.2), (0.4, 0.6), (0.8, 0.95)),
    "toilet": ("chair", (0.35, 0.45), (0.6, 0.75), (0.75, 0.95)),
    "bed": ("chair", (1.2, 2.0), (1.9, 2.2), (0.8, 1.0)),
    "wardrobe": ("block", (0.8, 2.0), (0.5, 0.7), (1.7, 2.3)),
    "bookcase": ("shelf", (0.8, 2.5), (0.3, 0.5), (1.5, 2.3)),
    "desk": ("table", (1.0, 1.8), (0.6, 0.9), (0.7, 0.8)),
    "dining table": ("table", (1.2, 2.2), (0.8, 1.2), (0.7, 0.8)),
    "long table": ("table", (2.5, 4.5), (1.0, 1.5), (0.7, 0.8)),
    "low table": ("table", (0.7, 1.3), (0.5, 0.8), (0.35, 0.5)),
    "chair": ("chair", (0.4, 0.6), (0.4, 0.6), (0.8, 1.1)),
    "sofa": ("sofa", (1.5, 2.6), (0.8, 1.0), (0.75, 1.0)),
    "counter": ("block", (1.5, 3.5), (0.55, 0.7), (0.85, 0.95)),
    "kitchen unit": ("unit", (1.5, 3.0), (0.55, 0.7), (2.1, 2.4)),
    "fridge": ("block", (0.6, 0.9), (0.6, 0.8), (1.5, 2.0)),
    "board": ("hung", (1.5, 3.5), (0.05, 0.1), (1.9, 2.3)),
    "screen": ("block", (0.4, 0.6), (0.15, 0.3), (1.1, 1.3)),
    "partition": ("block", (1.2, 2.0), (0.06, 0.12), (1.2, 1.6)),
    "box": ("block", (0.2, 0.6), (0.2, 0.6), (0.2, 0.9)),
}
"""Shape, and width, depth and height in metres from and to."""


@dataclass(frozen=True)
class Scene:
    """A kind of room: how long and wide it is, and (piece, most of them, where): "wall", "middle", "ring" or "rows"."""

    length: Range
    width: Range
    pieces: tuple[tuple[str, int, str], ...]


SCENES: dict[str, Scene] = {
    "bathroom": Scene((2, 3.2), (1.6, 2.6), (("bath", 1, "wall"), ("basin", 1, "wall"), ("toilet", 1, "wall"))),
    "bedroom": Scene((3, 4.5), (2.8, 4), (("bed", 2, "wall"), ("wardrobe", 2, "wall"), ("low table", 1, "wall"))),
    "bookstore": Scene(
        (4, 9), (3.5, 7), (("bookcase", 7, "wall"), ("bookcase", 5, "rows"), ("low table", 1, "middle"))
    ),
    "classroom": Scene((6, 9.5), (5, 7.5), (("desk", 7, "rows"), ("chair", 7, "rows"), ("board", 2, "wall"))),
    "conference room": Scene(
        (4.5, 6.5), (3, 4.5), (("long table", 1, "middle"), ("chair", 9, "ring"), ("board", 2, "wall"))
    ),
    "dining room": Scene(
        (3, 5), (2.8, 4.2), (("dining table", 1, "middle"), ("chair", 5, "middle"), ("counter", 1, "wall"))
    ),
    "home office": Scene((2.5, 4), (2.2, 3.5), (("desk", 2, "wall"), ("screen", 2, "wall"), ("bookcase", 3, "wall"))),
    "kitchen": Scene((3, 5), (1.8, 2.8), (("kitchen unit", 3, "wall"), ("counter", 1, "wall"), ("fridge", 1, "wall"))),
    "living room": Scene((4, 6), (3.5, 5), (("sofa", 3, "wall"), ("sofa", 1, "middle"), ("low table", 1, "middle"))),
    "office": Scene((4, 8), (3.5, 6), (("partition", 8, "rows"), ("desk", 5, "rows"), ("wardrobe", 2, "wall"))),
}
"""By name, in the order of their numbers."""

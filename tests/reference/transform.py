"""The train transform of the image-text papers, picture by picture with Pillow: 8 bits between all steps."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

NAMES = ["identity", "autocontrast", "brightness", "sharpness", "equalize"]
NAMES += ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"]
RING = 64
"""Grey around a picture, so that Pillow blends its border with what lies outside."""


def transform(picture: Image.Image, numbers: list[float]) -> Image.Image:
    """One picture and its row of uniform numbers."""
    areas, ratios, place, rest = numbers[:10], numbers[10:20], numbers[20:22], numbers[22:]
    left, top, right, bottom = box(picture.size, areas, ratios, place)
    picture = picture.crop((left, top, right, bottom)).resize(picture.size, Image.Resampling.BICUBIC)
    if rest[0] < 0.5:
        picture = ImageOps.mirror(picture)
    for which, made, sign in (rest[1:4], rest[4:7]):
        if made < 0.5:
            picture = operate(picture, NAMES[int(10 * which)], -1 if sign < 0.5 else 1)
    return picture


def box(size: tuple[int, int], areas: list[float], ratios: list[float], place: list[float]) -> tuple[int, ...]:
    width, height = size
    for a, r in zip(areas, ratios, strict=True):
        area = width * height * (0.5 + 0.5 * a)
        ratio = math.exp(math.log(3 / 4) + r * (math.log(4 / 3) - math.log(3 / 4)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if w <= width and h <= height:
            top, left = int(place[0] * (height - h + 1)), int(place[1] * (width - w + 1))
            return left, top, left + w, top + h
    w, h = width, height
    if width / height < 3 / 4:
        h = round(width / (3 / 4))
    elif width / height > 4 / 3:
        w = round(height * (4 / 3))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def operate(picture: Image.Image, name: str, sign: int) -> Image.Image:
    level = 5 / 10
    if name == "autocontrast":
        return ImageOps.autocontrast(picture)
    if name == "equalize":
        return ImageOps.equalize(picture)
    if name in ("brightness", "sharpness"):
        kind = ImageEnhance.Brightness if name == "brightness" else ImageEnhance.Sharpness
        return kind(picture).enhance(level * 1.8 + 0.1)
    width, height = picture.size
    shear, shift, angle = sign * level * 0.3, sign * level * 10 / 224, sign * level * 30
    moves = {
        "identity": (1, 0, 0, 0, 1, 0),
        "shear_x": (1, shear, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, shear, 1, 0),
        "translate_x": (1, 0, shift * width, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, shift * height),
    }
    ringed = ImageOps.expand(picture, RING, tuple([128] * len(picture.getbands())))
    inner = (RING, RING, RING + width, RING + height)
    if name == "rotate":
        # Pillow turns the picture and not the grid, so the other way round
        return ringed.rotate(angle, Image.Resampling.BILINEAR, fillcolor=fill(picture)).crop(inner)
    a, b, c, d, e, f = moves[name]
    c, f = c + RING - a * RING - b * RING, f + RING - d * RING - e * RING
    moved = ringed.transform(
        ringed.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR, fillcolor=fill(picture)
    )
    return moved.crop(inner)


def fill(picture: Image.Image) -> tuple[int, ...]:
    return tuple([128] * len(picture.getbands()))


def as_array(picture: Image.Image) -> np.ndarray:
    """(C, H, W) float."""
    found = np.asarray(picture, dtype=np.float32)
    return found[None] if found.ndim == 2 else found.transpose(2, 0, 1)

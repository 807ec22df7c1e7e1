"""Still pictures, depth maps and vectors from files, and the one way pictures are resized."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import DataError

__all__ = ["MAX_PIXELS", "depth_map", "read_depth", "read_feature", "read_image", "resize"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
MAX_PIXELS = 80_000_000
"""Larger pictures are refused: a small file can claim to be huge."""
MAX_METRES = 65.535
"""What 16 bits of millimetres hold."""
MAX_WIDTH = 1 << 20
"""Numbers in one vector."""

Array = np.ndarray[Any, Any]


def read_image(
    path: str | Path, size: int, channels: int = 3, *, antialias: bool = True, filter: str = "bilinear"
) -> Array:
    """(channels, size, size) uint8, turned upright by its EXIF tag, aspect ignored.

    Args:
        path: a JPEG, PNG, WebP, BMP, TIFF or PPM file.
        size: of both sides.
        channels: 3 (RGB) or 1 (grey, ITU-R 601).
        antialias, filter: see :func:`resize`.

    Raises DataError that names the file.
    """
    from PIL import ImageOps

    picture = _load(Path(path))
    if picture.mode.startswith(("I", "F")):
        hint = "A depth map belongs into a depth column."
        raise DataError(f"has pixels of mode {picture.mode}, not of 8 bits", where=path, hint=hint)
    if "transparency" in picture.info or picture.mode in ("PA", "LA"):
        picture = picture.convert("RGBA")
    pixels = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    return resize(pixels, size, channels, antialias=antialias, filter=filter)


def resize(pixels: Array, size: int, channels: int = 3, *, antialias: bool = True, filter: str = "bilinear") -> Array:
    """(H, W, 3) or (H, W) uint8 -> (channels, size, size) uint8, bilinear or bicubic, aspect ignored.

    With ``antialias`` the filter widens as the picture shrinks; without it is the papers' code (torchvision's resize of
    tensors, docs/audio_visual.md), which samples four neighbours (bicubic: sixteen) whatever the scale.
    """
    from PIL import Image

    mode = "RGB" if channels == 3 else "L"
    picture = Image.fromarray(pixels)
    if picture.mode != mode:
        picture = picture.convert(mode)
    if picture.size != (size, size):
        if antialias:
            picture = picture.resize((size, size), Image.Resampling[filter.upper()])
        else:
            return _resize_plain(np.asarray(picture), size, filter)
    values = np.asarray(picture)
    return np.ascontiguousarray(values.transpose(2, 0, 1) if channels == 3 else values[None])


def _resize_plain(pixels: Array, size: int, filter: str) -> Array:
    import torch

    planes = torch.tensor(np.atleast_3d(pixels)).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(planes, (size, size), mode=filter, align_corners=False)
    result: Array = small[0].round().clamp(0, 255).byte().numpy()
    return result


def read_depth(path: str | Path, size: int, *, unit: float = 0.001, rotated: bool = False) -> Array:
    """(1, size, size) uint16 millimetres of a 16-bit PNG or TIFF; 0 where the sensor read nothing.

    Resized by nearest neighbour: an average over an edge, or with a hole, is a distance that nothing has.

    Args:
        path: the file.
        size: of both sides.
        unit: metres of one step of the file.
        rotated: SUN RGB-D's files, whose bits are rotated: ``(v >> 3) | (v << 13)``.

    Raises DataError that names the file.
    """
    picture = _load(Path(path))
    if not picture.mode.startswith("I"):
        raise DataError(f"is no 16-bit depth map (its mode is {picture.mode})", where=path)
    raw = np.asarray(picture).astype(np.int64)
    if raw.min() < 0 or raw.max() > 65535:
        raise DataError("holds values beyond 16 bits", where=path)
    if rotated:
        raw = ((raw >> 3) | (raw << 13)) & 0xFFFF
    return _millimetres(_nearest(raw, size) * (unit * 1000))


def depth_map(metres: Array, size: int, where: object = None) -> Array:
    """(H, W) metres -> (1, size, size) uint16 millimetres, resized as :func:`read_depth` does; 0 where a value is not
    finite or not above 0. Raises DataError where the values cannot be metres."""
    small = _nearest(metres, size).astype(np.float64)
    small = np.where(np.isfinite(small) & (small > 0), small, 0)
    if small.max(initial=0) > MAX_METRES:
        raise DataError(f"reaches {small.max():g} m: its depths are not in metres", where=where)
    return _millimetres(small * 1000)


def _nearest(values: Array, size: int) -> Array:
    rows, columns = (((np.arange(size) + 0.5) * n / size).astype(np.int64) for n in values.shape)
    result: Array = values[rows[:, None], columns[None]]
    return result


def _millimetres(values: Array) -> Array:
    result: Array = np.clip(np.rint(values), 0, 65535).astype(np.uint16)[None]
    return result


def read_feature(path: str | Path, width: int | None = None) -> Array:
    """(D,) float16 of a .npy vector. Raises DataError: objects, other shapes, values that are not finite in half."""
    file = Path(path)
    _check_file(file)
    try:
        vector = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"is no readable .npy file: {error}", where=path) from error
    if not isinstance(vector, np.ndarray) or vector.ndim != 1 or vector.dtype.kind not in "fiu":
        raise DataError("is no vector of numbers", where=path)
    if not 0 < len(vector) <= MAX_WIDTH or (width is not None and len(vector) != width):
        raise DataError(f"has {len(vector)} numbers, expected {width or 'at least one'}", where=path)
    with np.errstate(over="ignore"):
        half: Array = np.asarray(vector).astype(np.float16)
    if not np.isfinite(half).all():
        raise DataError("holds values that are not finite, or beyond 65504", where=path)
    return half


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError("no such file", where=path)
    if path.stat().st_size == 0:
        raise DataError("is empty (0 bytes)", where=path)


def _load(path: Path) -> Any:
    from PIL import Image

    _check_file(path)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is nobody's concern here
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(file, formats=FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"a picture of {picture.width} x {picture.height} is not read", where=path)
            picture.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError("a picture of so many pixels is not read", where=path) from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError, IndexError) as error:
        raise DataError(f"cannot be read as a picture: {error}", where=path, hint="Is the file damaged?") from error
    return picture

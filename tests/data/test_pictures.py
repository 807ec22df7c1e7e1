"""Pictures, depth maps and vectors from files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.pictures import read_depth, read_feature, read_image, resize
from limbeck.errors import DataError


def quarters(width: int = 8, height: int = 8) -> np.ndarray:
    """Red, green / blue, white."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2, 0] = 255
    picture[: height // 2, width // 2 :, 1] = 255
    picture[height // 2 :, : width // 2, 2] = 255
    picture[height // 2 :, width // 2 :] = 255
    return picture


def test_pictures_keep_channels_rows_and_columns(tmp_path: Path) -> None:
    for ending in ("png", "bmp", "ppm", "tiff", "webp"):
        Image.fromarray(quarters()).save(tmp_path / f"q.{ending}", **({"lossless": True} if ending == "webp" else {}))
        found = read_image(tmp_path / f"q.{ending}", 8)
        assert found.shape == (3, 8, 8)
        assert np.array_equal(found, quarters().transpose(2, 0, 1))
    wide = tmp_path / "wide.png"
    Image.fromarray(quarters(32, 8)).save(wide)
    assert read_image(wide, 8)[:, 1, 1].tolist() == [255, 0, 0]
    assert read_image(wide, 8)[:, 6, 1].tolist() == [0, 0, 255]


def test_every_kind_of_pixel_becomes_rgb_or_grey(tmp_path: Path) -> None:
    base = Image.fromarray(quarters())
    for mode in ("L", "LA", "RGBA", "P", "1"):
        base.convert(mode).save(tmp_path / "x.png")
        assert read_image(tmp_path / "x.png", 4).shape == (3, 4, 4)
        assert read_image(tmp_path / "x.png", 4, channels=1).shape == (1, 4, 4)
    base.convert("CMYK").save(tmp_path / "x.jpg")
    assert read_image(tmp_path / "x.jpg", 4).shape == (3, 4, 4)
    palette = base.convert("P")
    palette.info["transparency"] = bytes([0, 128])
    palette.save(tmp_path / "t.png")
    assert read_image(tmp_path / "t.png", 8).shape == (3, 8, 8)
    grey = read_image(tmp_path / "x.png", 8, channels=1)
    assert set(np.unique(grey)) <= {0, 255}
    base.save(tmp_path / "c.png")
    assert read_image(tmp_path / "c.png", 8, channels=1)[0, 0, 0] == 76  # 0.299 * 255


def test_the_exif_tag_turns_a_picture_upright(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6  # the camera was turned: rotate by 270 degrees to see it upright
    Image.fromarray(quarters()).save(tmp_path / "e.png", exif=tags)
    assert read_image(tmp_path / "e.png", 8)[:, 0, 0].tolist() == [0, 0, 255]


def test_resizing_with_and_without_antialias() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, 1::4] = 255
    assert np.abs(resize(stripes, 8)[0, 2:-2, 2:-2].astype(int) - 64).max() <= 6  # all columns count
    assert (resize(stripes, 8, antialias=False) == 0).all()  # columns 3.5 + 8 k: their neighbours are black
    random = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    tensor = torch.from_numpy(random).permute(2, 0, 1)[None].float()
    known = torch.nn.functional.interpolate(tensor, (7, 7), mode="bilinear").round()[0].numpy()
    assert np.array_equal(resize(random, 7, antialias=False), known)
    assert resize(random[..., 0], 7, 1, antialias=False).shape == (1, 7, 7)
    assert np.array_equal(resize(random[:20, :20], 20), random[:20, :20].transpose(2, 0, 1))


def claim(width: int, height: int) -> bytes:
    """The beginning of a PNG that says it is that large."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def test_broken_and_hostile_pictures_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(tmp_path / "g.png")
    good = (tmp_path / "g.png").read_bytes()
    body = b"IDAT"
    chunk = struct.pack(">I", 0) + body + struct.pack(">I", zlib.crc32(body))
    cases = {
        "empty.png": b"",
        "cut.png": good[: len(good) // 2],
        "text.jpg": b"hello",
        "large.png": claim(9500, 9500) + chunk,
        "huge.png": claim(60_000, 60_000) + chunk,
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read_image(tmp_path / name, 8)
    with pytest.raises(DataError, match="no such file"):
        read_image(tmp_path / "none.png", 8)
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match="depth"):
        read_image(tmp_path / "deep.png", 8)


def test_depth_is_millimetres_and_never_averaged(tmp_path: Path) -> None:
    raw = np.zeros((6, 9), np.uint16)
    raw[:3], raw[3:, 4:] = 1500, 40_000
    Image.fromarray(raw).save(tmp_path / "d.png")
    found = read_depth(tmp_path / "d.png", 4)
    assert found.shape == (1, 4, 4)
    assert found.dtype == np.uint16
    assert set(np.unique(found)) == {0, 1500, 40_000}
    assert found[0, 0].tolist() == [1500] * 4
    assert read_depth(tmp_path / "d.png", 2, unit=0.0002)[0, 0, 0] == 300
    assert read_depth(tmp_path / "d.png", 2, unit=0.01)[0, 1, 1] == 65535  # beyond the range: the farthest there is
    rotated = ((raw.astype(np.uint32) << 3) | (raw >> 13)).astype(np.uint16)
    Image.fromarray(rotated).save(tmp_path / "r.png")
    assert np.array_equal(read_depth(tmp_path / "r.png", 4, rotated=True), found)
    Image.fromarray(quarters()).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb\.png: is no 16-bit depth map"):
        read_depth(tmp_path / "rgb.png", 4)


def test_real_depth_is_what_its_readme_says(shared: Path) -> None:
    (path,) = (shared / "sunrgbd_sample").glob("2014*/depth_bfx/*.png")
    metres = read_depth(path, 500, rotated=True) / 1000
    assert metres.min() == pytest.approx(0.64, abs=0.01)
    assert metres.max() == pytest.approx(3.78, abs=0.01)


def test_features_are_finite_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.arange(5, dtype=np.float64))
    found = read_feature(tmp_path / "f.npy", 5)
    assert found.dtype == np.float16
    assert found.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="5 numbers, expected 4"):
        read_feature(tmp_path / "f.npy", 4)
    bad = {
        "matrix": np.zeros((2, 2)),
        "nan": np.array([1, np.nan]),
        "large": np.array([1e9]),
        "words": np.array(["a"]),
        "objects": np.array([{}], dtype=object),
        "none": np.zeros(0),
    }
    for name, array in bad.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        with pytest.raises(DataError, match=rf"{name}\.npy"):
            read_feature(tmp_path / f"{name}.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "f.npy").read_bytes()[:-8])
    with pytest.raises(DataError, match=r"cut\.npy"):
        read_feature(tmp_path / "cut.npy")

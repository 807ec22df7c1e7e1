"""What real items weigh: each medium in the least form it could be sent in."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Picture

from limbeck.data.shipped import QUALITY, Shipped, words_bytes
from limbeck.data.toy import make_toy
from limbeck.data.writer import StoreWriter
from limbeck.modalities import Depth, Image, Text
from limbeck.rng import numpy_stream


def pictures(tmp_path, *arrays, captions=()):
    modality = (Depth if arrays[0].dtype == np.uint16 else Image)(shape=arrays[0].shape)
    with StoreWriter(tmp_path / "store", name="made", modalities=[modality], capacity=len(arrays)) as writer:
        for row, array in enumerate(arrays):
            writer.write(row, id=str(row), arrays={modality.name: array}, captions=captions)
        return writer.finish(standardise=())


def noise(*shape):
    return numpy_stream(0, "shipped").integers(0, 256, shape).astype(np.uint8)


def smooth(side):
    ramp = np.add.outer(np.arange(side), np.arange(side)) * 255 / (2 * side)
    return np.stack([ramp, ramp[::-1], ramp.T]).astype(np.uint8)


def test_a_picture_is_the_smallest_of_jpeg_png_and_plain_bytes(tmp_path):
    """Plain bytes of noise, PNG of one colour, JPEG of what pictures are."""
    photo = smooth(64) // 2 + noise(3, 64, 64) // 32
    flat, tiny = np.full((3, 64, 64), 7, np.uint8), noise(3, 64, 64)
    shipped = Shipped(store := pictures(tmp_path, photo, flat, tiny), store.modalities)
    file = io.BytesIO()
    Picture.fromarray(photo.transpose(1, 2, 0)).save(file, "JPEG", quality=QUALITY, optimize=True)
    assert shipped.medium("image", 0) == len(file.getvalue()) < 3 * 64 * 64
    file = io.BytesIO()
    Picture.fromarray(flat.transpose(1, 2, 0)).save(file, "PNG", optimize=True)
    assert shipped.medium("image", 1) == len(file.getvalue()) < 500
    assert shipped.medium("image", 2) <= 3 * 64 * 64
    assert "JPEG 95, PNG and plain bytes at 64 x 64" in shipped.counted["image"]


def test_a_tiny_picture_is_never_more_than_its_bytes(tmp_path):
    store = pictures(tmp_path, noise(1, 4, 4))
    assert Shipped(store, store.modalities).item(0) == 16


def test_depth_keeps_its_sixteen_bits(tmp_path):
    steps = (np.arange(64 * 64).reshape(1, 64, 64) % 5000).astype(np.uint16)
    store = pictures(tmp_path, steps)
    shipped = Shipped(store, store.modalities)
    file = io.BytesIO()
    Picture.fromarray(steps[0]).save(file, "PNG", optimize=True)
    assert np.array_equal(np.asarray(Picture.open(file)), steps[0])
    assert shipped.item(0) == min(len(file.getvalue()), 2 * 64 * 64)


def test_sound_and_vectors_are_a_byte_a_number(tmp_path):
    names = ("image", "audio", "text", "feature")
    store = make_toy(tmp_path / "store", modalities=names, captions=False, per_class=(2, 0, 0))
    shipped = Shipped(store, store.modalities)
    assert shipped.medium("audio", 0) == 16 * 16 + 8
    assert shipped.medium("feature", 0) == shipped.medium("text", 0) == 16 + 8  # no words are there
    assert shipped.item(0) == sum(shipped.medium(name, 0) for name in names)
    assert "no waveform" in shipped.counted["audio"]
    assert "vector" in shipped.counted["feature"]


def test_words_are_utf_8(tmp_path):
    store = make_toy(tmp_path / "store", modalities=("image", "text"), per_class=(2, 0, 0))
    shipped = Shipped(store, store.modalities)
    assert shipped.medium("text", 3) == len(store.captions[3][0].encode())
    assert shipped.counted["text"] == "UTF-8 words"
    assert words_bytes(("dög", "a b")) == 4 + 1 + 3
    assert isinstance(store.modalities["text"], Text)


def test_each_medium_is_looked_at_once(tmp_path, monkeypatch):
    store = pictures(tmp_path, smooth(32))
    shipped = Shipped(store, store.modalities)
    before = shipped.item(0)
    monkeypatch.setattr(store, "stored", lambda *_: pytest.fail("looked at twice"))
    assert shipped.item(0) == before

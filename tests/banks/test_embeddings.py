"""Embeddings of real items: those of the encoder, made once, whatever happens to the file in between."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.augment import DSA, Draw
from limbeck.banks import embeddings, patches
from limbeck.banks.embeddings import FrozenEmbeddings, seeded_draws
from limbeck.banks.frozen import Frozen, frozen_encoders
from limbeck.data.pairs import Pairs
from limbeck.data.real_items import RealItems
from limbeck.errors import ConfigError, FormatError, NumericsError, ShapeError
from limbeck.rng import stream
from tests.evaluation.paired_toy import paired_store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patches, "DICTIONARY", patches.DictionaryRecipe(atoms=6, patches=200, rounds=2))
    monkeypatch.setattr(embeddings, "CHUNK", 8)
    return tmp_path / "cache"


@pytest.fixture
def frozen(toy) -> Frozen:
    return frozen_encoders(toy, toy.modalities, "patches", pretrained="none")


@pytest.fixture
def real(toy) -> RealItems:
    return RealItems(toy)


def counted(monkeypatch: pytest.MonkeyPatch, stop: int | None = None) -> list[int]:
    """Sizes of all batches that are embedded; a power cut after ``stop`` of them."""
    sizes: list[int] = []

    def embed(self: Frozen, modality: str, x: Tensor, own=Frozen.embed) -> Tensor:
        if len(sizes) == stop:
            raise KeyboardInterrupt
        sizes.append(len(x))
        return own(self, modality, x)

    monkeypatch.setattr(Frozen, "embed", embed)
    return sizes


def test_plain_rows_are_the_encoders(real: RealItems, frozen: Frozen) -> None:
    made = FrozenEmbeddings.build(real, frozen)
    chosen = torch.tensor([3, 79, 0, 3])
    for name in ("image", "audio"):
        expected = frozen.embed(name, real.batch(name, chosen))
        found = made.rows(0, name, chosen)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert made.rows(0, "image", torch.empty(0, dtype=torch.int64)).shape == (0, 24)


def test_each_view_and_group_has_its_draw(real: RealItems, frozen: Frozen) -> None:
    dsa = DSA()
    made = FrozenEmbeddings.build(real, frozen, views=3, augment=dsa)
    for view in range(3):
        for g, group in enumerate(real.groups):
            x = dsa(real.batch("image", torch.from_numpy(group)), dsa.draw(stream(0, "views", view, g)))
            found = made.rows(view, "image", torch.from_numpy(group))
            torch.testing.assert_close(found, frozen.embed("image", x), rtol=1e-5, atol=1e-6)
    assert not torch.equal(made.rows(0, "image", torch.arange(9)), made.rows(1, "image", torch.arange(9)))
    other = FrozenEmbeddings.build(real, frozen, augment=dsa, draws=seeded_draws(dsa, 1))
    assert not torch.equal(other.rows(0, "image", torch.arange(9)), made.rows(0, "image", torch.arange(9)))


def test_of_pairs_each_picture_is_embedded_once_and_captions_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = Pairs.of(paired_store(tmp_path / "store", side=16), "train", captions="hashing")
    frozen = frozen_encoders(pairs, pairs.modalities, "patches", pretrained="none")
    sizes = counted(monkeypatch)
    made = FrozenEmbeddings.build(RealItems(pairs), frozen)
    assert sum(sizes) == len(pairs.items) < len(pairs)
    every = torch.arange(len(pairs))
    for name, x in pairs.batch(every).items():
        torch.testing.assert_close(made.rows(0, name, every), frozen.embed(name, x), rtol=1e-5, atol=1e-6)


def test_the_second_time_nothing_is_embedded_and_more_views_find_the_first(
    real: RealItems, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FrozenEmbeddings.build(real, frozen, views=1, augment=DSA())
    sizes = counted(monkeypatch)
    again = FrozenEmbeddings.build(real, frozen, views=1, augment=DSA())
    assert sizes == []
    assert torch.equal(first.rows(0, "image", torch.arange(80)), again.rows(0, "image", torch.arange(80)))
    FrozenEmbeddings.build(real, frozen, views=2, augment=DSA())
    assert sum(sizes) == 2 * 80  # the new view of both modalities
    FrozenEmbeddings.build(real, dataclasses.replace(frozen, id="another"), augment=DSA())
    assert sum(sizes) == 4 * 80


def test_killed_work_goes_on_to_the_same_bytes(
    real: RealItems, frozen: Frozen, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in cache.glob("embeddings/*/*.npy")}

    FrozenEmbeddings.build(real, frozen, augment=DSA())
    whole = files()
    for path in cache.glob("embeddings/*/*"):
        if path.suffix in (".npy", ".json"):
            path.unlink()
    with monkeypatch.context() as once:
        counted(once, stop=7)
        with pytest.raises(KeyboardInterrupt):
            FrozenEmbeddings.build(real, frozen, augment=DSA())
    (part,) = cache.glob("embeddings/*/*.partial")
    with part.open("ab") as file:
        file.write(b"half a row")
    sizes = counted(monkeypatch)
    FrozenEmbeddings.build(real, frozen, augment=DSA())
    assert 80 < sum(sizes) < 160
    assert files() == whole
    assert not list(cache.glob("embeddings/*/*.partial"))


def test_a_damaged_file_is_told(real: RealItems, frozen: Frozen, cache: Path) -> None:
    FrozenEmbeddings.build(real, frozen)
    file = next(iter(cache.glob("embeddings/*/image-*.npy")))
    whole = bytearray(file.read_bytes())
    whole[-3] ^= 1
    file.write_bytes(whole)
    with pytest.raises(FormatError, match=r"edited or damaged\n.*made again"):
        FrozenEmbeddings.build(real, frozen)
    file.write_bytes(whole[:-5])
    with pytest.raises(FormatError, match="truncated"):
        FrozenEmbeddings.build(real, frozen)
    file.unlink()
    FrozenEmbeddings.build(real, frozen)  # as its hint says
    file.with_suffix(".json").unlink()
    with pytest.raises(FormatError, match="no such file"):
        FrozenEmbeddings.build(real, frozen)


def test_half_precision_halves_the_file(real: RealItems, frozen: Frozen, cache: Path) -> None:
    half, full = (FrozenEmbeddings.build(real, frozen, half=h) for h in (True, False))
    every = torch.arange(80)
    torch.testing.assert_close(half.rows(0, "image", every), full.rows(0, "image", every), rtol=1e-3, atol=1e-4)
    sizes = sorted(p.stat().st_size - 128 for p in cache.glob("embeddings/*/image-*.npy"))
    assert sizes == [80 * 24 * 2, 80 * 24 * 4]


@pytest.mark.parametrize(("value", "half", "said"), [(np.nan, False, "is not finite"), (1e5, True, "is too large")])
def test_an_embedding_that_is_no_number_names_the_item(
    real: RealItems, frozen: Frozen, monkeypatch: pytest.MonkeyPatch, value: float, half: bool, said: str
) -> None:
    def embed(self: Frozen, modality: str, x: Tensor, own=Frozen.embed) -> Tensor:
        found = own(self, modality, x)
        found[(x == real.batch("image", torch.tensor([13]))).flatten(1).all(1), 2] = value
        return found

    monkeypatch.setattr(Frozen, "embed", embed)
    with pytest.raises(NumericsError, match=rf"item '{real.item_name(13)}': the embedding of image by patches {said}"):
        FrozenEmbeddings.build(real, frozen, half=half)


def test_what_is_refused(real: RealItems, frozen: Frozen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="0 views"):
        FrozenEmbeddings.build(real, frozen, views=0)

    def each(view: int, group: int) -> Draw:
        return DSA().draw_items(stream(0, "each", view, group), 20)

    with pytest.raises(ConfigError, match="alike"):
        FrozenEmbeddings.build(real, frozen, augment=DSA(), draws=each)
    made = FrozenEmbeddings.build(real, frozen, views=2)
    assert torch.equal(made.rows(0, "image", torch.arange(5)), made.rows(1, "image", torch.arange(5)))
    with pytest.raises(ConfigError, match="no view 2"):
        made.rows(2, "image", torch.arange(5))
    with pytest.raises(ShapeError, match=r"0\.\.79"):
        made.rows(0, "image", torch.tensor([80]))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="cache cannot be written"):
        FrozenEmbeddings.build(real, frozen)

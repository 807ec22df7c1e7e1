"""What stands still: which encoders a name means for a set, what they start from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from limbeck.banks import aligned, patches
from limbeck.banks.frozen import frozen_encoders, require_common_width
from limbeck.banks.patches import patch_dictionary
from limbeck.data.pairs import Pairs
from limbeck.data.toy import make_toy
from limbeck.encoders.identity import Identity
from limbeck.encoders.projected import Projected
from limbeck.errors import ConfigError, FormatError, MissingDependencyError
from limbeck.training.pairs import PairRecipe
from tests.evaluation.paired_toy import paired_store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patches, "DICTIONARY", patches.DictionaryRecipe(atoms=12, patches=500, rounds=3))
    monkeypatch.setattr(aligned, "ALIGNED_RECIPE", PairRecipe(epochs=4, batch=16, rates=0.05))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """24 pictures of 16 x 16, one to three captions each, and a validation split."""
    return Pairs.of(paired_store(tmp_path_factory.mktemp("captioned") / "store", side=16), "train", captions="hashing")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory):
    """Picture, sound and text by class."""
    return make_toy(tmp_path_factory.mktemp("toy") / "store", modalities=("image", "audio", "text"))


def test_patches_for_what_is_spatial_and_vectors_as_they_are(captioned: Pairs) -> None:
    frozen = frozen_encoders(captioned, captioned.modalities, "patches")
    assert frozen.widths == {"image": 48, "text": 384}
    x = captioned.batch(range(3))
    assert frozen.embed("text", x["text"]) is x["text"]
    own = patch_dictionary(captioned, "image")
    torch.testing.assert_close(
        frozen.embed("image", x["image"]), frozen.encoders["image"].embed(own, x["image"]), rtol=0, atol=0
    )
    assert not any(w.requires_grad for own in frozen.weights.values() for w in own.values())


def test_a_set_with_classes_has_the_dictionary_of_its_items(toy) -> None:
    """The very one that pairs of the same items have."""
    frozen = frozen_encoders(toy, toy.modalities, "patches")
    assert frozen.widths == {"image": 48, "audio": 48}
    by_pairs = frozen_encoders(Pairs.of(toy, "train"), toy.modalities, "patches")
    torch.testing.assert_close(frozen.weights, by_pairs.weights, rtol=0, atol=0)
    assert frozen.id == by_pairs.id


def test_its_id_is_of_all_that_decides_a_vector(toy) -> None:
    def made(name: str = "patches", **told) -> str:
        return frozen_encoders(toy, toy.modalities, name, **told).id

    ids = {made(), made(pretrained="none"), made(precision="bf16"), made("aligned"), made("imagebind-tiny")}
    assert len(ids) == 5
    assert made() in ids
    assert made(pretrained="none") in ids


def recall(frozen, pairs: Pairs) -> float:
    """How often a first item's nearest second is its own, in the order of chance 1 / R."""
    x = pairs.batch(range(len(pairs)))
    a, b = (torch.nn.functional.normalize(frozen.embed(name, v)) for name, v in x.items())
    return float(((a @ b.T).argmax(1) == torch.arange(len(a))).float().mean())


def test_aligned_is_one_space(toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligned, "ALIGNED_RECIPE", PairRecipe(epochs=20, batch=16, rates=0.05))
    fitted = frozen_encoders(toy, toy.modalities, "aligned", width=32)
    assert require_common_width(fitted) == 32
    pairs = Pairs.of(toy, "test")
    assert isinstance(fitted.encoders["image"], Projected)
    assert recall(fitted, pairs) > 3 * recall(frozen_encoders(toy, toy.modalities, "aligned", pretrained="none"), pairs)
    assert recall(fitted, pairs) > 3 / len(pairs)


def test_aligned_is_trained_once_and_captions_belong_to_it(captioned: Pairs, cache: Path, monkeypatch) -> None:
    first = frozen_encoders(captioned, captioned.modalities, "aligned")
    assert first.widths == {"image": 256, "text": 256}
    assert list((cache / "banks").glob("*/maps.safetensors"))
    monkeypatch.setattr(aligned, "train_pairs", None)  # what is called now would fail
    assert frozen_encoders(captioned, captioned.modalities, "aligned").id == first.id
    assert frozen_encoders(captioned, captioned.modalities, "aligned", pretrained="none").id != first.id


def test_the_validation_split_chooses_the_epoch(captioned: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair an item of it, and the weights of the epoch that it likes best."""
    seen: list[dict] = []
    kept: list[float] = []
    scores = iter([3.0, 9.0, 4.0, 9.0])

    def held_out(pairs, *_):
        assert (pairs.split, len(pairs), len(pairs.items)) == ("validation", 8, 8)

        def recall(weights):
            seen.append(weights)
            return next(scores)

        return recall

    monkeypatch.setattr(aligned, "_held_out", held_out)
    monkeypatch.setattr(
        aligned, "write_tensors", lambda *a, made=aligned.write_tensors: kept.append(a[2]["epoch"]) or made(*a)
    )
    frozen = frozen_encoders(captioned, captioned.modalities, "aligned")
    assert kept == [2]  # the first of the two
    torch.testing.assert_close(frozen.weights["text"]["map.weight"], seen[1]["text"]["weight"], rtol=0, atol=0)


def test_widths_that_differ_are_told(toy, captioned: Pairs) -> None:
    frozen = frozen_encoders(captioned, captioned.modalities, "patches")
    with pytest.raises(ConfigError, match=r"one width; patches gives image 48, text 384\n.*aligned"):
        require_common_width(frozen)
    assert require_common_width(frozen_encoders(toy, {"image": toy.modalities["image"]}, "patches")) == 48


def test_a_file_of_weights(toy, tmp_path: Path) -> None:
    drawn = frozen_encoders(toy, toy.modalities, "aligned", pretrained="none")
    file = tmp_path / "w.safetensors"
    save_file({f"{n}/{k}": w + 1 for n, own in drawn.weights.items() for k, w in own.items()}, file)
    read = frozen_encoders(toy, toy.modalities, "aligned", pretrained=str(file))
    torch.testing.assert_close(read.weights["image"]["map.bias"], drawn.weights["image"]["map.bias"] + 1)
    with pytest.raises(FormatError, match="another network"):
        frozen_encoders(toy, toy.modalities, "patches", pretrained=str(file))
    with pytest.raises(ConfigError, match="no such file"):
        frozen_encoders(toy, toy.modalities, "patches", pretrained=str(tmp_path / "nothing.pt"))


def test_imagebind_of_random_weights_is_one_space_of_all(described) -> None:
    frozen = frozen_encoders(described, described.modalities, "imagebind-tiny")
    assert set(frozen.widths) == {"image", "audio", "text"}
    require_common_width(frozen)
    x = described.batch("image", range(2)).requires_grad_()
    (slope,) = torch.autograd.grad(frozen.embed("image", x).square().sum(1)[0] + frozen.embed("image", x)[0, 0], x)
    assert bool(slope[0].abs().sum() > 0)
    assert bool((slope[1] == 0).all())


def test_imagebind_of_a_file_leaves_other_vectors_as_they_are(described, tmp_path: Path) -> None:
    """No map of them is in it, and a random one would only blur them: cross terms are refused instead."""
    from limbeck.encoders.imagebind import module_of

    chosen = {n: described.modalities[n] for n in ("image", "text")}
    drawn = frozen_encoders(described, chosen, "imagebind-tiny")
    encoder = drawn.encoders["image"]
    network = module_of(encoder.part, encoder.embedding, drawn.weights["image"])
    save_file(network.state_dict(), tmp_path / "tiny.safetensors")
    read = frozen_encoders(described, chosen, "imagebind-tiny", pretrained=str(tmp_path / "tiny.safetensors"))
    x = described.batch("image", range(3))
    torch.testing.assert_close(read.embed("image", x), drawn.embed("image", x))
    assert read.encoders["text"] == Identity(16)
    assert read.id != drawn.id
    with pytest.raises(ConfigError, match="image 128, text 16"):
        require_common_width(read)


def test_what_is_published_and_not_here(toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("LIMBECK_IMAGEBIND", raising=False)
    picture = {"image": toy.modalities["image"]}
    with pytest.raises(MissingDependencyError, match=r"imagebind_huge\.pth"):
        frozen_encoders(toy, picture, "imagebind")
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(MissingDependencyError, match="--pretrained FOLDER"):
        frozen_encoders(toy, picture, "clip")
    with pytest.raises(ConfigError, match="no such folder"):
        frozen_encoders(toy, picture, "clip", pretrained=str(tmp_path / "nothing"))


def test_settings_that_do_not_fit(toy, described) -> None:
    with pytest.raises(ConfigError, match="brings two modalities together"):
        frozen_encoders(described, described.modalities, "aligned")
    with pytest.raises(ConfigError, match="has a width of its own"):
        frozen_encoders(toy, toy.modalities, "patches", width=5)
    with pytest.raises(ConfigError, match="a space of 0 numbers"):
        frozen_encoders(toy, toy.modalities, "aligned", width=0)
    with pytest.raises(ConfigError, match="has no weights here"):
        frozen_encoders(described, {"text": described.modalities["text"]}, "patches", pretrained="w.pt")
    own = frozen_encoders(described, {"text": described.modalities["text"]}, "identity")
    assert own.encoders["text"] == Identity(16)
    with pytest.raises(ConfigError, match="brings its weights itself"):
        frozen_encoders(toy, toy.modalities, "torch.nn:Flatten", pretrained="none")

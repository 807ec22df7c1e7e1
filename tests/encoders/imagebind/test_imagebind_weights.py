from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.func import functional_call

from limbeck.encoders.imagebind import (
    PARTS,
    TINY,
    ImageBind,
    ImageBindEncoder,
    find_weights,
    load_modality,
    module_of,
    needed_weights,
)
from limbeck.encoders.imagebind.model import on_meta
from limbeck.encoders.imagebind.weights import VARIABLE
from limbeck.errors import ConfigError, FormatError, MissingDependencyError, NumericsError
from limbeck.rng import stream
from tests.encoders.imagebind.toy import TOY, toy_items, toy_weights


@pytest.fixture(scope="module")
def whole() -> dict[str, Tensor]:
    """The state dict of all modalities, as the published file has it."""
    model = ImageBind(TOY)
    for part in TOY.parts:
        model.load_state_dict({n: w.float() for n, w in toy_weights(part).items()}, strict=False)
    return {n: w.clone() for n, w in model.state_dict().items()}


@pytest.fixture
def file(tmp_path: Path, whole: dict[str, Tensor]) -> Path:
    torch.save(whole, tmp_path / "imagebind_huge.pth")
    return tmp_path / "imagebind_huge.pth"


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_each_modality_comes_back(kind: str, suffix: str, file: Path, whole: dict[str, Tensor]) -> None:
    if suffix == ".safetensors":
        file = file.with_suffix(suffix)
        save_file({n: w.contiguous() for n, w in whole.items()}, file)
    found = load_modality(file, TOY, kind)
    part = TOY.part(kind)
    wanted = {n for n, _ in on_meta(part, 6).named_parameters()}
    assert set(found) == wanted
    assert all(torch.equal(found[n], whole[n]) for n in wanted)
    x = toy_items(part)
    x = x if kind == "text" else x.float()
    module = module_of(part, 6, found)
    assert {n: tuple(w.shape) for n, w in module.state_dict().items()} == {
        n: tuple(w.shape) for n, w in whole.items() if n.split(".")[1] == kind
    }
    torch.testing.assert_close(module(x), functional_call(on_meta(part, 6), found, (x,)))


def test_a_nested_state_and_half_precision(tmp_path: Path, whole: dict[str, Tensor]) -> None:
    torch.save({"state_dict": whole}, tmp_path / "nested.pth")
    found = load_modality(tmp_path / "nested.pth", TOY, "text", dtype=torch.bfloat16)
    scale = found.pop("modality_postprocessors.text.1.log_logit_scale")
    assert scale.dtype == torch.float32
    assert {w.dtype for w in found.values()} == {torch.bfloat16}
    name = "modality_heads.text.proj.1.weight"
    assert torch.equal(found[name], whole[name].bfloat16())


def test_the_file_is_mapped_and_other_modalities_are_not_looked_at(
    file: Path, whole: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dict(whole)
    broken["modality_heads.vision.2.weight"] = torch.full((1, 1), float("nan"))
    broken["modality_heads.vision.extra"] = torch.zeros(1)
    torch.save(broken, file)
    asked: dict[str, bool] = {}
    monkeypatch.setattr(torch, "load", lambda path, *, load=torch.load, **how: asked.update(how) or load(path, **how))
    found = load_modality(file, TOY, "audio")
    assert (asked["mmap"], asked["weights_only"]) == (True, True)
    again = {n: w for n, w in load(file).items() if n in found}
    assert all(torch.equal(found[n], again[n]) for n in found)
    with pytest.raises(FormatError, match="is not the vision part"):
        load_modality(file, TOY, "vision")


def load(file: Path) -> dict[str, Tensor]:
    """The whole file."""
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("modality_heads.audio.2.weight"), FormatError, "it misses modality_heads.audio.2.weight"),
        (lambda s: s.update({"modality_trunks.audio.x": torch.zeros(1)}), FormatError, "has, and the model has not"),
        (
            lambda s: s.update({"modality_heads.audio.2.weight": torch.zeros(6, 9)}),
            FormatError,
            r"is \(6, 9\) there and \(6, 8\)",
        ),
        (
            lambda s: s.update({"modality_heads.audio.2.weight": torch.zeros(6, 8, dtype=torch.int32)}),
            FormatError,
            "no weight",
        ),
        (
            lambda s: s.update({"modality_heads.audio.2.weight": torch.full((6, 8), float("inf"))}),
            NumericsError,
            "not finite",
        ),
        (
            lambda s: s.update({"modality_postprocessors.audio.1.log_logit_scale": torch.tensor(1.0)}),
            FormatError,
            "is fixed in the model",
        ),
    ],
)
def test_another_model_is_refused(change, error, words: str, file: Path, whole: dict[str, Tensor]) -> None:
    state = dict(whole)
    change(state)
    torch.save(state, file)
    with pytest.raises(error, match=words):
        load_modality(file, TOY, "audio")


class Hostile:
    """Pickles to a call."""

    def __reduce__(self):
        return os.system, ("touch hostile-was-here",)


def test_files_that_are_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"modality_heads.audio.2.weight": Hostile()}, tmp_path / "hostile.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile()))
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "short.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    torch.save({"a": torch.zeros(1000)}, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:2000])
    for name in ("hostile.pth", "plain.pth", "list.pth", "empty.pth", "short.safetensors", "cut.pth"):
        with pytest.raises(FormatError, match=name):
            load_modality(tmp_path / name, TOY, "audio")
    assert not (tmp_path / "hostile-was-here").exists()
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_modality(tmp_path / "none.pth", TOY, "audio")
    assert "ImageBind's own names" in str(caught.value)


def test_where_weights_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder, hub = tmp_path / "weights", tmp_path / "torch" / "hub" / "checkpoints"
    assert find_weights([folder]) is None
    with pytest.raises(MissingDependencyError, match="not on this machine") as caught:
        needed_weights([folder])
    assert str(folder / "imagebind_huge.pth") in str(caught.value)
    assert "not for commercial use" in str(caught.value)
    for place in (hub, folder):  # the later one is looked for first
        place.mkdir(parents=True)
        (place / "imagebind_huge.pth").touch()
        assert needed_weights([folder]) == find_weights([folder]) == place / "imagebind_huge.pth"
    own = tmp_path / "own.safetensors"
    monkeypatch.setenv(VARIABLE, str(own))
    with pytest.raises(ConfigError, match="names no file"):
        find_weights([folder])
    own.touch()
    assert find_weights([folder]) == own


def test_an_encoder_reads_its_part(tmp_path: Path) -> None:
    encoder = ImageBindEncoder(TINY, "depth")
    drawn = encoder.init(stream(0, "w"))
    torch.save(module_of(encoder.part, encoder.embedding, drawn).state_dict(), tmp_path / "depth.pth")
    found = encoder.load(tmp_path / "depth.pth")
    assert found.keys() == drawn.keys() == encoder.shapes.keys()
    assert all(torch.equal(found[n], drawn[n]) for n in drawn)


def test_the_doctor_tells_of_the_file_and_its_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.doctor import diagnose

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own.pth"))
    (told,) = (w for w in diagnose()["weights"] if w["name"] == "imagebind_huge")
    assert (told["there"], told["path"]) == (False, None)
    assert "names no file" in told["missing"]
    assert "not for commercial use" in told["licence"]
    (tmp_path / "own.pth").touch()
    (told,) = (w for w in diagnose()["weights"] if w["name"] == "imagebind_huge")
    assert (told["there"], told["path"], told["missing"]) == (True, str(tmp_path / "own.pth"), None)


def test_the_doctor_tells_of_the_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.data.clip_tokens import FILE, VARIABLE
    from limbeck.doctor import diagnose

    monkeypatch.setenv(VARIABLE, str(tmp_path / FILE))
    (told,) = (w for w in diagnose()["weights"] if w["name"] == FILE)
    assert not told["there"]
    assert VARIABLE in told["missing"]
    (tmp_path / FILE).write_bytes(b"")
    (told,) = (w for w in diagnose()["weights"] if w["name"] == FILE)
    assert told["path"] == str(tmp_path / FILE)

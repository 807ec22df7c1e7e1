from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from limbeck.encoders import Linear
from limbeck.encoders.files import read_weights
from limbeck.errors import ConfigError, FormatError, LimbeckError, NumericsError
from limbeck.rng import stream

NET = Linear(3, 2)
WEIGHTS = NET.init(stream(0, "w"))


def written(path: Path, tensors: object) -> Path:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth", "a.bin"])
def test_weights_come_back_in_the_networks_order(tmp_path: Path, name: str) -> None:
    backwards = {k: WEIGHTS[k].half() for k in reversed(WEIGHTS)}
    found = read_weights(written(tmp_path / name, backwards), NET.shapes)
    assert list(found) == list(WEIGHTS)
    for key, weight in found.items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, WEIGHTS[key].half().float(), rtol=0, atol=0)


def test_a_state_dict_may_lie_in_a_checkpoint(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pt", {"state_dict": dict(WEIGHTS), "epoch": 3})
    assert list(read_weights(path, NET.shapes)) == list(WEIGHTS)


def test_a_classifier_may_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors", {**WEIGHTS, "head.fc.weight": torch.ones(2)})
    assert list(read_weights(path, NET.shapes, ignored="head.fc.")) == list(WEIGHTS)
    with pytest.raises(FormatError, match=r"has, and the network has not, head\.fc\.weight"):
        read_weights(path, NET.shapes)


BAD = {
    "misses": ({"weight": WEIGHTS["weight"]}, FormatError, "it misses bias"),
    "shape": ({**WEIGHTS, "bias": torch.zeros(3)}, FormatError, r"bias is \(3,\) there and \(2,\) in the network"),
    "kind": ({**WEIGHTS, "bias": torch.zeros(2, dtype=torch.int64)}, FormatError, "no weight"),
    "nan": ({**WEIGHTS, "bias": torch.full((2,), torch.nan)}, NumericsError, "bias has values that are not finite"),
    "list": ([torch.zeros(2)], FormatError, "no weights by name"),
    "numbers": ({"weight": 1.0}, FormatError, "no weights by name"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_weights_are_refused(tmp_path: Path, case: str) -> None:
    content, kind, words = BAD[case]
    path = written(tmp_path / "a.pt", content)
    with pytest.raises(kind, match=words) as caught:
        read_weights(path, NET.shapes)
    assert str(path) in str(caught.value)


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code was run",))


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_damaged_and_hostile_files_are_refused(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_bytes(b"not weights at all")
    with pytest.raises(FormatError, match="not readable as weights"):
        read_weights(path, NET.shapes)
    path = written(tmp_path / "b.pt", {"weight": Hostile()})
    with pytest.raises(LimbeckError, match="not readable as weights"):
        read_weights(path, NET.shapes)
    assert "code was run" not in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file of weights"):
        read_weights(tmp_path / "nothing.pt", NET.shapes)

"""What a modality may be: checked where it is made, so that no file and no caller can bring in anything else."""

from __future__ import annotations

import pytest

from limbeck.errors import ConfigError, FormatError, LimbeckError, ShapeError
from limbeck.modalities import KINDS, Audio, Depth, Feature, Image, Modality, Text, modality_from_dict

IMAGE = Image(shape=(3, 4, 4)).to_dict()
AUDIO = Audio(shape=(1, 4, 4)).to_dict()
TEXT = Text(shape=(4,)).to_dict()


@pytest.mark.parametrize("name", ["../../evil", "a/b", ".", "A", "1a", "a" * 65, "a\n", "é", 3, ["x"]])
def test_a_name_can_never_lead_out_of_a_folder(name):
    with pytest.raises(ConfigError, match="cannot be called"):
        Image(name=name, shape=(3, 4, 4))
    with pytest.raises(FormatError, match="cannot be called"):
        modality_from_dict({**IMAGE, "name": name}, "file")


@pytest.mark.parametrize(
    "shape", [(), (3,), (3, 4), (3, 0, 4), (3, -1, 4), (3, 4.0, 4), (3, True, 4), [3, 4, 4], "abc", 7]
)
@pytest.mark.parametrize("kind", [Image, Depth, Audio])
def test_an_item_is_channels_height_width(kind, shape):
    with pytest.raises((ShapeError, TypeError)):
        kind(shape=shape)
    with pytest.raises(FormatError):
        modality_from_dict({"kind": kind.kind, "shape": list(shape) if isinstance(shape, tuple) else 7})


def test_channels_are_what_the_kind_has():
    for wrong in (
        lambda: Image(shape=(2, 4, 4), mean=(0.0,), std=(1.0,)),
        lambda: Depth(shape=(3, 4, 4)),
        lambda: Feature(shape=(2, 2)),
    ):
        with pytest.raises(ShapeError):
            wrong()


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.0, 0.0]},
        {"mean": []},
        {"mean": 0.5},
        {"mean": [float("nan")]},
        {"mean": [10**400]},
        {"mean": ["a"]},
        {"mean": [[1.0], [1.0], [1.0]]},
        {"mean": None},
        {"std": [1.0, 1.0, 0.0]},
        {"std": [-1.0]},
        {"std": [float("inf")]},
        {"std": [1e-60]},
        {"std": [True]},
    ],
)
def test_constants_nothing_can_be_normalised_with(change):
    with pytest.raises(FormatError) as caught:
        modality_from_dict({**IMAGE, **change}, "some file")
    assert "some file" in str(caught.value)


@pytest.mark.parametrize("key", ["sample_rate", "n_fft", "hop"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "400", None, 10**12])
def test_a_spectrogram_has_whole_settings(key, value):
    with pytest.raises(FormatError, match=key):
        modality_from_dict({**AUDIO, key: value})


@pytest.mark.parametrize(
    "data", [None, [], "image", {}, {"kind": []}, {"kind": "imge"}, {**AUDIO, "scale": []}, {**TEXT, "embedding": 3}]
)
def test_what_is_no_modality(data):
    with pytest.raises(FormatError):
        modality_from_dict(data)


def test_windows_that_do_not_overlap_make_no_sound():
    import torch

    with pytest.raises(ShapeError, match="overlap"):
        Audio(shape=(1, 8, 8), n_fft=64, hop=64).waveform(torch.zeros(1, 1, 8, 8))


def test_every_kind_comes_back():
    made = [cls(shape=(1, 8, 8) if cls.spatial else (8,)) for cls in KINDS.values()]
    assert [modality_from_dict(m.to_dict()) for m in made] == made
    assert all(isinstance(m, Modality) for m in made)
    assert issubclass(FormatError, LimbeckError)


def test_no_modality_is_called_as_the_class_is_in_a_batch():
    with pytest.raises(ConfigError, match="cannot be called 'label'"):
        Feature(name="label", shape=(3,))
    with pytest.raises(FormatError, match="cannot be called 'label'"):
        modality_from_dict({"kind": "feature", "name": "label", "shape": [3]})
    assert Feature(name="labels", shape=(3,)).name == "labels"

"""CLIP's and CLAP's towers, against the library's own way from media to features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limbeck.encoders.clap import FRAMES, ClapSound, clap_bands, repeated
from limbeck.encoders.from_transformers import ClipPictures, read_tower
from limbeck.errors import ConfigError, FormatError, MissingDependencyError, NumericsError
from limbeck.modalities import Audio, Image
from limbeck.rng import stream

transformers = pytest.importorskip("transformers")

TEXT = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
SEEN = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8}  # fmt: skip
HEARD = {"hidden_size": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [2, 2],
         "num_hidden_layers": 2}  # fmt: skip
SOUND = {"sample_rate": 48_000, "n_fft": 1024, "hop": 480}


def saved(model: Any, folder: Path) -> Any:
    transformers.logging.disable_progress_bar()
    model.save_pretrained(folder)
    return model.eval()


def made(kind: str, config: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("clip")
    text = {**TEXT, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.CLIPConfig(text_config=text, vision_config=SEEN, projection_dim=12)
    return saved(made(transformers.CLIPModel, config), folder), folder


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("clap")
    config = transformers.ClapConfig(text_config=TEXT, audio_config=HEARD, projection_dim=12)
    return saved(made(transformers.ClapModel, config), folder), folder


def pictures(channels: int, height: int, width: int) -> torch.Tensor:
    """Smooth ones, which resizing hardly changes."""
    small = torch.rand(3, channels, 4, 4, generator=stream(0, "pictures"))
    return (255 * F.interpolate(small, (height, width), mode="bilinear")).round().to(torch.uint8)


@pytest.mark.parametrize(("size", "apart"), [((32, 32), 1e-5), ((64, 64), 2e-2), ((40, 64), 2e-2), ((20, 20), 2e-2)])
def test_pictures_embed_as_the_library_embeds_them(clip, size: tuple[int, int], apart: float) -> None:
    """Up to the rounding to whole bytes after its resizing."""
    model, folder = clip
    config, weights = read_tower("clip", folder)
    picture = Image(shape=(3, *size), mean=(0.4, 0.3, 0.2), std=(0.2, 0.3, 0.1))
    net, stored = ClipPictures(config, picture), pictures(3, *size)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    read = processor(images=[p.permute(1, 2, 0).numpy() for p in stored], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = model.get_image_features(read).pooler_output
    found = net.embed(weights, picture.normalise(stored))
    assert found.shape == (3, 12) == (3, net.embedding)
    assert float((found - expected).abs().max()) < apart * float(expected.abs().max())
    assert float((expected[0] - expected[1]).abs().max()) > 0.1  # or nothing would be told apart


def test_grey_pictures_have_three_equal_channels(clip) -> None:
    _, folder = clip
    config, weights = read_tower("clip", folder)
    grey, colour = Image(shape=(1, 32, 32)), Image(shape=(3, 32, 32))
    stored = pictures(1, 32, 32)
    one = ClipPictures(config, grey).embed(weights, grey.normalise(stored))
    three = ClipPictures(config, colour).embed(weights, colour.normalise(stored.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-5)


def test_slopes_reach_the_picture_and_random_weights_are_the_seeds(clip) -> None:
    _, folder = clip
    config, _ = read_tower("clip", folder)
    picture = Image(shape=(3, 40, 40))
    net = ClipPictures(config, picture)
    weights, again, other = (net.init(stream(seed, "w")) for seed in (0, 0, 1))
    assert all(torch.equal(weights[k], again[k]) for k in weights)
    assert not all(torch.equal(weights[k], other[k]) for k in weights)
    assert {k: tuple(w.shape) for k, w in weights.items()} == net.shapes
    x = torch.randn(2, 3, 40, 40, generator=stream(0, "x"), requires_grad=True)
    (slope,) = torch.autograd.grad(net.embed(weights, x).square().sum(), x)
    assert bool(slope.isfinite().all())
    assert bool((slope.abs().amax((1, 2, 3)) > 0).all())
    assert net.id != ClipPictures(config, Image(shape=(3, 40, 40), mean=(0.1,))).id


@pytest.mark.parametrize("seconds", [1.0, 3.0, 10.0])
def test_sound_embeds_nearly_as_the_library_embeds_it(clap, seconds: float) -> None:
    model, folder = clap
    config, weights = read_tower("clap", folder)
    samples = round(48_000 * seconds)
    waves = 0.1 * torch.randn(2, samples, generator=stream(0, "sound")).cumsum(1).sin()
    sound = Audio(shape=(1, 256, samples // 480 + 1), **SOUND, mean=(-30.0,), std=(20.0,))
    x = ((sound.spectrogram(waves) + 30) / 20).requires_grad_()
    extract = transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    read = np.stack(extract([w.numpy() for w in waves], sampling_rate=48_000)["input_features"])
    net = ClapSound(config, sound)
    bands = net.preprocessed(sound.denormalise(x.detach()))
    assert float((bands - torch.from_numpy(read)).abs().mean()) < 0.5  # decibel; where repeats meet, windows differ
    with torch.no_grad():
        expected = model.get_audio_features(torch.from_numpy(read)).pooler_output
    found = net.embed(weights, x)
    torch.testing.assert_close(found.detach().norm(dim=1), torch.ones(2))
    assert float((found.detach() - expected).abs().max()) < 0.02
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert bool(slope.isfinite().all())
    assert bool(slope.abs().sum() > 0)


def test_bands_are_sums_of_bands() -> None:
    own = clap_bands(256, 64)
    assert own.shape == (64, 256)
    assert bool((own >= 0).all())
    short = torch.arange(301.0).expand(2, 1, 4, -1)
    long = repeated(short)
    assert long.shape == (2, 1, 4, FRAMES)
    assert torch.equal(long[..., 300:600], short[..., :300])
    assert bool((long[..., 900:] == -100).all())


@pytest.mark.parametrize(
    "sound",
    [
        Audio(shape=(1, 256, 101)),
        Audio(shape=(1, 64, 101), **SOUND),
        Audio(shape=(1, 256, 101), **{**SOUND, "hop": 240}),
    ],
)
def test_other_spectrograms_are_refused_with_a_way_out(clap, sound: Audio) -> None:
    config, _ = read_tower("clap", clap[1])
    with pytest.raises(ConfigError, match=r"CLAP hears sound of 48000 Hz.*\n.*--n-mels 256"):
        ClapSound(config, sound)


def test_a_fused_clap_is_refused(clap) -> None:
    settings = json.loads(read_tower("clap", clap[1])[0])
    settings["audio_config"]["enable_fusion"] = True
    with pytest.raises(ConfigError, match="fused"):
        ClapSound(json.dumps(settings), Audio(shape=(1, 256, 101), **SOUND))


def test_folders_that_hold_no_such_model(clip, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(MissingDependencyError, match=r"no config.json\n.*model.safetensors"):
        read_tower("clip", tmp_path)
    with pytest.raises(ConfigError, match="a model of type 'clip', not 'clap'"):
        read_tower("clap", clip[1])
    (tmp_path / "config.json").write_bytes((clip[1] / "config.json").read_bytes())
    good = load_file(clip[1] / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(FormatError, match="cannot be read"):
        read_tower("clip", tmp_path)
    lacking = {k: w for k, w in good.items() if k != "visual_projection.weight"}
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FormatError, match=r"lack 1 tensors, the first visual_projection"):
        read_tower("clip", tmp_path)
    good["visual_projection.weight"][0, 0] = torch.nan
    save_file(good, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NumericsError, match="visual_projection"):
        read_tower("clip", tmp_path)

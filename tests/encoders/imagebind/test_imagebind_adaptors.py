from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from limbeck.encoders import Linear
from limbeck.encoders.identity import Identity
from limbeck.encoders.imagebind import BASE, HUGE, TINY, TOKENS, ImageBindEncoder, TokenText, imagebind_encoders
from limbeck.encoders.imagebind.inputs import depth_input, picture_input, sound_input
from limbeck.encoders.imagebind.model import on_meta
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Audio, Depth, Feature, Image, Modality, Text
from limbeck.rng import stream

KALDI = Audio.kaldi()
PICTURE = Image(shape=(3, 20, 26))
GREY = Image(shape=(1, 28, 28), mean=(0.4,), std=(0.2,))
SOUND = Audio(shape=(1, 24, 30), mean=(-30.0,), std=(20.0,))
LOUD = Audio(shape=(1, 24, 30), scale="decibel")
CLIPS = Audio.kaldi(frames=52)
METRES = Depth(shape=(1, 24, 32), mean=(2.5,), std=(0.5,))
INPUTS = {
    "picture": (PICTURE, lambda p: picture_input(p, (24, 32))),
    "grey": (GREY, lambda p: picture_input(p, (32, 32))),
    "sound": (SOUND, lambda p: sound_input(p, (24, 32), decibel=True)),
    "loud": (LOUD, lambda p: sound_input(p, (24, 32), decibel=True)),
    "clips": (CLIPS, lambda p: sound_input(p, (128, 56), decibel=False)),
    "depth": (METRES, lambda p: depth_input(p, (24, 32))),
}


def encoder_of(modality: Modality) -> ImageBindEncoder:
    found = imagebind_encoders({"a": modality}, "tiny")["a"]
    assert isinstance(found, ImageBindEncoder)
    return found


def items(modality: Modality, n: int = 2) -> Tensor:
    return torch.randn(n, *modality.shape, generator=stream(0, "items"))


@pytest.mark.parametrize("name", INPUTS)
def test_a_stores_items_become_the_networks_input(name: str) -> None:
    modality, convert = INPUTS[name]
    encoder, x = encoder_of(modality), items(modality).requires_grad_()
    weights = encoder.init(stream(0, "w"))
    assert {n: tuple(w.shape) for n, w in weights.items()} == encoder.shapes
    found = encoder.embed(weights, x)
    wanted = functional_call(on_meta(encoder.part, 128), weights, (convert(modality.denormalise(x)),))
    torch.testing.assert_close(found, wanted)
    assert (found.shape, found.dtype) == ((2, 128), torch.float32)
    (slope,) = torch.autograd.grad(found.sin().sum(), x)
    assert float(slope.abs().amax((1, 2, 3)).min()) > 0
    torch.testing.assert_close(encoder.embed(weights, x[1:]), found[1:])


@pytest.mark.parametrize("kind", ["thermal", "imu", "vision"])
def test_the_networks_own_input(kind: str) -> None:
    encoder = ImageBindEncoder(TINY, kind)
    assert encoder.input_shape == TINY.part(kind).input
    x = torch.randn(1, *encoder.input_shape, generator=stream(0, "x"), requires_grad=True)
    found = encoder.embed(encoder.init(stream(0, "w")), x)
    torch.testing.assert_close(found.norm(dim=1), torch.tensor([TINY.part(kind).scale]))
    assert torch.autograd.grad(found.sum(), x)[0].any()


def test_training_draws_and_embedding_does_not() -> None:
    encoder = ImageBindEncoder(TINY, "imu")
    weights, x = encoder.init(stream(0, "w")), items(Feature(shape=(1,)))[:, :, None].expand(-1, 6, 2000)
    assert torch.equal(encoder.embed(weights, x), encoder.embed(weights, x))
    one, again, other = (encoder.embed_training(weights, x, stream(seed, "draw")) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_low_precision_is_close_and_not_the_same() -> None:
    full, low = encoder_of(PICTURE), replace(encoder_of(PICTURE), precision="bf16")
    weights, x = full.init(stream(0, "w")), items(PICTURE, 4)
    a, b, c = full.embed(weights, x), low.embed(weights, x), full.embed({n: w.half() for n, w in weights.items()}, x)
    for rough in (b, c):
        assert rough.dtype == torch.float32
        assert 0 < float((a - rough).abs().max()) < 0.02
    assert full.id == low.id


def test_what_an_id_stands_for() -> None:
    one = encoder_of(PICTURE)
    others = [encoder_of(m) for m in (replace(PICTURE, mean=(0.5,)), Image(shape=(3, 20, 28)))]
    ids = {one.id, ImageBindEncoder(BASE, "vision", PICTURE).id, *(o.id for o in others)}
    assert len(ids) == 4
    assert encoder_of(replace(PICTURE, name="frame")).id == one.id


def test_an_encoder_for_each_of_a_stores_modalities() -> None:
    width = 77 * 64 + 1
    modalities = {
        "image": PICTURE,
        "audio": KALDI,
        "depth": METRES,
        "text": Text(shape=(384,), embedding="minilm"),
        "own": Text(name="own", shape=(128,), embedding="imagebind"),
        "tokens": Text(name="tokens", shape=(width,), embedding=TOKENS),
    }
    found = imagebind_encoders(modalities, TINY)
    assert {e.embedding for e in found.values()} == {128}
    assert [found[n].kind for n in ("image", "audio", "depth")] == ["vision", "audio", "depth"]
    assert found["text"] == Linear(384, 128)
    assert found["own"] == Identity(128)
    assert isinstance(found["tokens"], TokenText)
    with pytest.raises(ConfigError, match=r"has 4929 numbers, not 384"):
        imagebind_encoders({"text": Text(shape=(384,), embedding=TOKENS)}, TINY)
    with pytest.raises(ConfigError, match="Did you mean 'tiny'"):
        imagebind_encoders(modalities, "tinny")


def test_the_published_model_reads_published_sound_and_any_picture() -> None:
    found = imagebind_encoders({"image": PICTURE, "audio": KALDI, "depth": METRES}, HUGE)
    assert all(e.part == HUGE.part(e.kind) for e in found.values())
    assert found["image"].adapt(items(PICTURE)).shape == (2, 3, 224, 224)
    assert found["audio"].adapt(items(KALDI)).shape == (2, 3, 1, 128, 204)
    assert found["depth"].adapt(items(METRES)).shape == (2, 1, 224, 224)
    for sound in (SOUND, CLIPS, Audio(shape=(1, 128, 204))):
        with pytest.raises(ConfigError, match="does not read") as caught:
            imagebind_encoders({"audio": sound}, HUGE)
        assert "--for imagebind" in str(caught.value)


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError, match="vision does not read depth items"):
        ImageBindEncoder(TINY, "vision", METRES)
    with pytest.raises(ConfigError, match="TokenText"):
        ImageBindEncoder(TINY, "text")
    encoder = encoder_of(PICTURE)
    with pytest.raises(ShapeError, match="takes items of shape"):
        encoder.embed(encoder.init(stream(0, "w")), torch.zeros(1, 3, 24, 24))

"""The names of encoders that stand still, and what is said where one does not fit."""

from __future__ import annotations

import pytest
import torch

from limbeck.encoders.frozen import FROZEN, check_reads, frozen_kind
from limbeck.encoders.identity import Identity
from limbeck.encoders.linear import Linear
from limbeck.encoders.patches import PatchDictionary
from limbeck.encoders.projected import Projected, joined
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Audio, Depth, Image, Text
from limbeck.rng import stream

PICTURE, SOUND, WORDS = Image(shape=(3, 8, 8)), Audio(shape=(1, 8, 8)), Text(shape=(4,))


def test_names_and_the_nearest_of_them() -> None:
    known = {"identity", "patches", "aligned", "imagebind", "imagebind-base", "imagebind-tiny", "clip", "clap"}
    assert set(FROZEN) == known
    assert {n for n in known if frozen_kind(n).fitted} == {"patches", "aligned"}
    assert frozen_kind("own.module:net").name == "own.module:net"
    with pytest.raises(ConfigError, match=r"unknown encoder 'imagebnd'\n.*'imagebind'.*package.module:function"):
        frozen_kind("imagebnd")


def test_the_licence_of_published_weights_is_told() -> None:
    assert "not for commercial use" in FROZEN["imagebind"].licence
    assert "not for commercial use" not in FROZEN["imagebind-tiny"].licence


@pytest.mark.parametrize(("name", "wrong"), [("identity", PICTURE), ("clip", SOUND), ("clap", PICTURE)])
def test_what_it_has_no_part_for_is_refused(name: str, wrong: Image | Audio) -> None:
    check_reads(frozen_kind(name), {"text": WORDS})
    with pytest.raises(ConfigError, match=f"the encoder {name} reads .*vectors; '{wrong.name}' is"):
        check_reads(frozen_kind(name), {"text": WORDS, wrong.name: wrong})
    check_reads(frozen_kind("aligned"), {m.name: m for m in (PICTURE, SOUND, WORDS, Depth(shape=(1, 8, 8)))})


def test_identity_gives_back_what_it_gets() -> None:
    x = torch.randn(3, 5, generator=stream(0, "x"), requires_grad=True)
    net = Identity(5)
    assert net.embed({}, x) is x
    assert (net.shapes, net.embedding, net.input_shape) == ({}, 5, (5,))
    with pytest.raises(ShapeError):
        net.embed({}, x[:, :4])


def test_a_projection_is_the_map_of_the_body() -> None:
    body = PatchDictionary(1, 8, 8, atoms=3, side=3)
    net = Projected(body, 5)
    weights = {k: w.double() for k, w in net.init(stream(0, "w")).items()}
    assert {k: tuple(w.shape) for k, w in weights.items()} == net.shapes
    x = torch.randn(2, 1, 8, 8, generator=stream(0, "x"), dtype=torch.float64, requires_grad=True)
    inner = {k.removeprefix("body."): w for k, w in weights.items() if k.startswith("body.")}
    expected = body.embed(inner, x) @ weights["map.weight"].T + weights["map.bias"]
    torch.testing.assert_close(net.embed(weights, x), expected)
    assert torch.autograd.gradcheck(lambda x: net.embed(weights, x), x)
    assert net.id == f"{body.id}>{Linear(body.embedding, 5).id}"
    assert joined(inner, Linear(body.embedding, 5).init(stream(0, "m"))).keys() == weights.keys()

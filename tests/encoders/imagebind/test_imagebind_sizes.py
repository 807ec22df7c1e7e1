from __future__ import annotations

import pytest
import torch

from limbeck.encoders.imagebind import BASE, HUGE, PARTS, TINY, ImageBind, draw_weights, imagebind_config
from limbeck.encoders.imagebind.config import Part
from limbeck.encoders.imagebind.model import on_meta
from limbeck.errors import ConfigError, ShapeError
from limbeck.rng import stream

KEYS = {"vision": 392, "text": 295, "audio": 177, "depth": 177, "thermal": 177, "imu": 93}
"""Counted by hand from the spec's names."""
TOKENS = {"vision": 257, "text": 77, "audio": 229, "depth": 197, "thermal": 197, "imu": 251}
MILLIONS = {"vision": 629.7, "text": 302.3, "audio": 85.1, "depth": 21.3, "thermal": 85.1, "imu": 18.9}
"""Of the trunks [spec 3.7]."""
SHAPES = {
    "modality_preprocessors.vision.cls_token": (1, 1, 1280),
    "modality_preprocessors.vision.rgbt_stem.proj.1.weight": (1280, 3, 2, 14, 14),
    "modality_preprocessors.vision.pos_embedding_helper.pos_embed": (1, 257, 1280),
    "modality_preprocessors.text.pos_embed": (1, 77, 1024),
    "modality_preprocessors.text.mask": (77, 77),
    "modality_preprocessors.text.token_embedding.weight": (49408, 1024),
    "modality_preprocessors.audio.cls_token": (1, 1, 768),
    "modality_preprocessors.audio.rgbt_stem.proj.weight": (768, 1, 16, 16),
    "modality_preprocessors.audio.rgbt_stem.norm_layer.weight": (768,),
    "modality_preprocessors.audio.rgbt_stem.norm_layer.bias": (768,),
    "modality_preprocessors.audio.pos_embedding_helper.pos_embed": (1, 229, 768),
    "modality_preprocessors.thermal.pos_embedding_helper.pos_embed": (1, 197, 768),
    "modality_preprocessors.thermal.rgbt_stem.proj.weight": (768, 1, 16, 16),
    "modality_preprocessors.depth.cls_token": (1, 1, 384),
    "modality_preprocessors.depth.depth_stem.proj.weight": (384, 1, 16, 16),
    "modality_preprocessors.depth.depth_stem.norm_layer.weight": (384,),
    "modality_preprocessors.depth.pos_embedding_helper.pos_embed": (1, 197, 384),
    "modality_preprocessors.imu.pos_embed": (1, 251, 512),
    "modality_preprocessors.imu.cls_token": (1, 1, 512),
    "modality_preprocessors.imu.imu_stem.proj.weight": (512, 48),
    "modality_preprocessors.imu.imu_stem.norm_layer.bias": (512,),
    "modality_trunks.vision.pre_transformer_layer.0.weight": (1280,),
    "modality_trunks.vision.blocks.31.attn.in_proj_weight": (3840, 1280),
    "modality_trunks.vision.blocks.0.attn.in_proj_bias": (3840,),
    "modality_trunks.audio.blocks.11.attn.bias_k": (1, 1, 768),
    "modality_trunks.imu.blocks.5.attn.bias_v": (1, 1, 512),
    "modality_trunks.text.blocks.23.attn.out_proj.weight": (1024, 1024),
    "modality_trunks.depth.blocks.3.norm_1.weight": (384,),
    "modality_trunks.depth.blocks.3.mlp.fc1.weight": (1536, 384),
    "modality_trunks.thermal.blocks.3.mlp.fc2.bias": (768,),
    "modality_trunks.thermal.blocks.3.norm_2.bias": (768,),
    "modality_heads.vision.0.weight": (1280,),
    "modality_heads.vision.2.weight": (1024, 1280),
    "modality_heads.imu.3.weight": (1024, 512),
    "modality_heads.text.proj.0.bias": (1024,),
    "modality_heads.text.proj.1.weight": (1024, 1024),
    **{f"modality_postprocessors.{kind}.1.log_logit_scale": () for kind in PARTS if kind != "vision"},
}


@pytest.fixture(scope="module")
def huge() -> ImageBind:
    with torch.device("meta"):
        return ImageBind(HUGE)


def test_the_published_models_keys_and_shapes(huge: ImageBind) -> None:
    state = huge.state_dict()
    assert len(state) == sum(KEYS.values()) == 1311
    found = {kind: sum(name.split(".")[1] == kind for name in state) for kind in PARTS}
    assert found == KEYS
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES
    for absent in ("modality_postprocessors.vision", "text.blocks.0.attn.bias_k", "vision.blocks.0.attn.bias_k"):
        assert not any(absent in name for name in state)


def test_the_published_models_parameters(huge: ImageBind) -> None:
    assert round(sum(p.numel() for p in huge.parameters()) / 1e6, 1) == 1200.8
    for kind, millions in MILLIONS.items():
        trunk = huge.modality_trunks[kind]
        assert round(sum(p.numel() for p in trunk.parameters()) / 1e6, 1) == millions
    words = huge.modality_preprocessors["text"]
    assert round(sum(p.numel() for p in words.parameters()) / 1e6, 1) == 50.7


def test_the_parts_together_are_the_whole(huge: ImageBind) -> None:
    state: dict[str, tuple[int, ...]] = {}
    for part in HUGE.parts:
        state |= {n: tuple(w.shape) for n, w in on_meta(part, 1024).state_dict().items()}
    assert state == {n: tuple(w.shape) for n, w in huge.state_dict().items()}


@pytest.mark.parametrize("kind", PARTS)
def test_tokens_and_a_forward_of_the_published_model(kind: str) -> None:
    part = HUGE.part(kind)
    module = on_meta(part, HUGE.embedding)
    number = torch.int64 if kind == "text" else torch.float32
    x = torch.zeros(2, *part.input, dtype=number, device="meta")
    seen: list[tuple[int, ...]] = []
    watch = module.trunk.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    try:
        found = module(x)
    finally:
        watch.remove()
    assert found.shape == (2, 1024)
    assert seen == [(2, TOKENS[kind], part.width)]
    assert BASE.part(kind).tokens == TINY.part(kind).tokens == part.tokens == TOKENS[kind]
    assert BASE.part(kind).input == part.input


def test_fresh_weights_hang_on_their_generator_alone() -> None:
    part, before = TINY.part("audio"), torch.random.get_rng_state()
    one, again, other = (draw_weights(part, 128, stream(seed, "w")) for seed in (0, 0, 1))
    assert all(torch.equal(one[n], again[n]) for n in one)
    assert not torch.equal(one["modality_heads.audio.2.weight"], other["modality_heads.audio.2.weight"])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_fresh_weights_keep_a_signals_size() -> None:
    for config in (TINY, BASE):
        weights = draw_weights(config.part("imu"), config.embedding, stream(0, "w"))
        trunk = "modality_trunks.imu.blocks.1."
        torch.testing.assert_close(
            weights[trunk + "attn.in_proj_weight"].std() * config.part("imu").width ** 0.5,
            torch.tensor(1.0), atol=0.05, rtol=0,
        )  # fmt: skip
        assert weights[trunk + "norm_1.weight"].unique().tolist() == [1]
        assert weights["modality_heads.imu.0.weight"].unique().tolist() == [1]
        assert weights["modality_preprocessors.imu.imu_stem.norm_layer.bias"].unique().tolist() == [0]
        assert 0.015 < float(weights["modality_preprocessors.imu.pos_embed"].std()) < 0.025


@pytest.mark.parametrize(
    ("size", "patch", "whole"),
    [((64, 64), 8, (64, 64)), ((28, 28), 8, (32, 32)), ((64, 32), 8, (64, 32)), ((128, 56), 8, (128, 56)),
     ((320, 240), 32, (320, 256)), ((224, 224), 14, (224, 224))],
)  # fmt: skip
def test_small_models_take_items_of_any_size(size, patch: int, whole) -> None:
    part = TINY.fitted("vision", size)
    assert (part.patch, part.input) == (patch, (3, *whole))
    assert part.tokens <= 257
    assert HUGE.fitted("vision", size) == HUGE.part("vision")


def test_names_and_sizes_that_do_not_fit() -> None:
    assert [imagebind_config(n).name for n in ("imagebind", "imagebind-tiny", "base")] == ["huge", "tiny", "base"]
    with pytest.raises(ConfigError, match="Did you mean 'tiny'"):
        imagebind_config("imagebind-tini")
    with pytest.raises(ConfigError, match="Did you mean 'vision'"):
        HUGE.part("vison")
    with pytest.raises(ConfigError, match="in 3 heads"):
        Part("depth", (1, 8, 8), 8, 1, 3, 8, patch=4, stride=4)
    with pytest.raises(ShapeError, match="patch of 16 does not fit"):
        Part("depth", (1, 8, 8), 8, 1, 2, 8, patch=16, stride=16)
    with pytest.raises(ShapeError, match="has not 2 dimensions"):
        Part("imu", (1, 8, 8), 8, 1, 2, 8, patch=4, stride=4)

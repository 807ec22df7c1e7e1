"""Other people's implementations of the same layers, weight by weight."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from limbeck.encoders.imagebind.model import on_meta
from limbeck.encoders.imagebind.trunk import Attention
from limbeck.rng import stream
from tests.encoders.imagebind.toy import TOY, toy_items, toy_weights

LAYERS = {
    "attn.out_proj": "self_attn.out_proj",
    "norm_1": "layer_norm1",
    "norm_2": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


@pytest.mark.parametrize(("bias_kv", "causal"), [(False, False), (True, False), (False, True)])
def test_attention_is_torchs(bias_kv: bool, causal: bool) -> None:
    theirs = nn.MultiheadAttention(8, 2, add_bias_kv=bias_kv, batch_first=True, dtype=torch.float64).eval()
    noise = stream(0, "w")
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.copy_(torch.randn(weight.shape, generator=noise, dtype=torch.float64))
    ours = Attention(8, 2, bias_kv=bias_kv, causal=causal).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(3, 5, 8, generator=stream(0, "x"), dtype=torch.float64, requires_grad=True)
    mask = torch.full((5, 5), float("-inf"), dtype=torch.float64).triu(1) if causal else None
    reference = theirs(x, x, x, attn_mask=mask, need_weights=True)[0]
    torch.testing.assert_close(ours(x), reference)
    slopes = [torch.autograd.grad(y.sin().sum(), x)[0] for y in (ours(x), reference)]
    torch.testing.assert_close(*slopes)


def _blocks(weights: dict[str, Tensor], kind: str, count: int) -> dict[str, Tensor]:
    """Ours under the names of transformers' CLIP encoder."""
    found = {}
    for i in range(count):
        ours, theirs = f"modality_trunks.{kind}.blocks.{i}.", f"encoder.layers.{i}."
        for a, b in LAYERS.items():
            for end in ("weight", "bias"):
                found[f"{theirs}{b}.{end}"] = weights[f"{ours}{a}.{end}"]
        for end in ("weight", "bias"):
            parts = weights[f"{ours}attn.in_proj_{end}"].chunk(3)
            found |= {f"{theirs}self_attn.{n}_proj.{end}": w for n, w in zip("qkv", parts, strict=True)}
    return found


def _fill(model: nn.Module, weights: dict[str, Tensor], room: str) -> None:
    """Every parameter of transformers' module is ours; its names may or may not stand in ``room``."""
    names = [n for n, _ in model.named_parameters()]
    inside = any(n.startswith(f"{room}.embeddings") for n in names)
    named = {n if n.endswith("projection.weight") or not inside else f"{room}.{n}": w for n, w in weights.items()}
    assert sorted(names) == sorted(named)
    model.load_state_dict(named, strict=False)


def test_vision_is_transformers_clip() -> None:
    transformers = pytest.importorskip("transformers")
    part = replace(TOY.part("vision"), input=(3, 12, 12))
    settings = transformers.CLIPVisionConfig(
        hidden_size=8, intermediate_size=12, projection_dim=6, num_hidden_layers=2, num_attention_heads=2,
        image_size=12, patch_size=4, hidden_act="gelu", layer_norm_eps=1e-6,
    )  # fmt: skip
    weights = toy_weights(part)
    stem, head = "modality_preprocessors.vision.", "modality_heads.vision."
    norm = "modality_trunks.vision.pre_transformer_layer.0."
    model = transformers.CLIPVisionModelWithProjection(settings).double().eval()
    theirs = {
        "embeddings.class_embedding": weights[stem + "cls_token"][0, 0],
        "embeddings.patch_embedding.weight": weights[stem + "rgbt_stem.proj.1.weight"].sum(2),
        "embeddings.position_embedding.weight": weights[stem + "pos_embedding_helper.pos_embed"][0],
        **{f"pre_layrnorm.{end}": weights[norm + end] for end in ("weight", "bias")},
        **_blocks(weights, "vision", 2),
        **{f"post_layernorm.{end}": weights[f"{head}0.{end}"] for end in ("weight", "bias")},
        "visual_projection.weight": weights[head + "2.weight"],
    }
    _fill(model, theirs, "vision_model")
    x = toy_items(part, 3).requires_grad_()
    reference = F.normalize(model(pixel_values=x).image_embeds, dim=1)
    ours = functional_call(on_meta(part, 6), weights, (x,))
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(*(torch.autograd.grad(y.sin().sum(), x)[0] for y in (ours, reference)))


def test_text_is_transformers_clip() -> None:
    transformers = pytest.importorskip("transformers")
    part = TOY.part("text")
    settings = transformers.CLIPTextConfig(
        vocab_size=30, hidden_size=8, intermediate_size=12, projection_dim=6, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=7, hidden_act="gelu", layer_norm_eps=1e-6, eos_token_id=2,
        bos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    weights = toy_weights(part)
    stem, head = "modality_preprocessors.text.", "modality_heads.text.proj."
    model = transformers.CLIPTextModelWithProjection(settings).double().eval()
    theirs = {
        "embeddings.token_embedding.weight": weights[stem + "token_embedding.weight"],
        "embeddings.position_embedding.weight": weights[stem + "pos_embed"][0],
        **_blocks(weights, "text", 2),
        **{f"final_layer_norm.{end}": weights[f"{head}0.{end}"] for end in ("weight", "bias")},
        "text_projection.weight": weights[head + "1.weight"],
    }
    _fill(model, theirs, "text_model")
    ids = torch.tensor([[3, 8, 29, 0, 0, 0, 0], [3, 1, 4, 7, 9, 2, 29], [3, 29, 0, 0, 0, 0, 0]])
    ours = functional_call(on_meta(part, 6), weights, (ids,))
    scale = weights["modality_postprocessors.text.1.log_logit_scale"].exp()
    torch.testing.assert_close(ours, F.normalize(model(input_ids=ids).text_embeds, dim=1) * scale)

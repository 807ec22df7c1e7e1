"""ImageBind written out: patches cut one by one, attention head by head and query by query, every frame repeated."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.encoders.imagebind import Part


def literal_embedding(weights: dict[str, Tensor], part: Part, x: Tensor, place: Tensor | None = None) -> Tensor:
    """(N, ...) -> (N, D); text as ids, or with ``place`` as tokens."""
    return torch.stack([_item(weights, part, one, None if place is None else place[i]) for i, one in enumerate(x)])


def _item(weights: dict[str, Tensor], part: Part, x: Tensor, place: Tensor | None) -> Tensor:
    stem = {n.split(f"preprocessors.{part.kind}.")[1]: w for n, w in weights.items() if "preprocessors" in n}
    if part.kind == "text":
        end = int(x.argmax()) if place is None else int(place)
        tokens = stem["token_embedding.weight"][x] + stem["pos_embed"][0] if place is None else x
    else:
        end = 0
        position = stem["pos_embed"] if part.kind == "imu" else stem["pos_embedding_helper.pos_embed"]
        tokens = torch.cat([stem["cls_token"][0], torch.stack(_patches(stem, part, x))]) + position[0]
    tokens = _trunk(weights, part, tokens)
    head = f"modality_heads.{part.kind}."
    norm, last = (head + "proj.0", head + "proj.1") if part.kind == "text" else (head + "0", head + "2")
    last = head + "3" if part.kind == "imu" else last
    y = weights[last + ".weight"] @ _norm(tokens[end], weights, norm, 1e-6)
    y = y / y.square().sum().sqrt()
    if part.kind == "vision":
        return y
    if part.kind == "text":
        return y * weights["modality_postprocessors.text.1.log_logit_scale"].exp().clamp(max=100)
    return y * torch.tensor(math.log(part.scale)).to(y.dtype).exp()  # the file holds its logarithm in float32


def _patches(stem: dict[str, Tensor], part: Part, x: Tensor) -> list[Tensor]:
    """One token a patch, row by row."""
    side, step = part.patch, part.stride
    if part.kind == "imu":
        cut = [x[:, i * step : i * step + side] for i in range(part.grid[0])]
        return [_stem_norm(stem["imu_stem.proj.weight"] @ p.reshape(-1), stem, "imu_stem") for p in cut]
    name = "depth_stem" if part.kind == "depth" else "rgbt_stem"
    found = []
    for row in range(part.grid[0]):
        for column in range(part.grid[1]):
            p = x[..., row * step : row * step + side, column * step : column * step + side]
            if part.kind == "vision":
                film = p if p.dim() == 4 else torch.stack([p] * part.frames, 1)
                found.append((stem["rgbt_stem.proj.1.weight"] * film).flatten(1).sum(1))
            else:
                token = (stem[f"{name}.proj.weight"] * p).flatten(1).sum(1)
                found.append(_stem_norm(token, stem, name))
    return found


def _stem_norm(token: Tensor, stem: dict[str, Tensor], name: str) -> Tensor:
    return _norm(token, stem, f"{name}.norm_layer", 1e-5)


def _trunk(weights: dict[str, Tensor], part: Part, x: Tensor) -> Tensor:
    room = f"modality_trunks.{part.kind}."
    if part.pre_norm:
        x = _norm(x, weights, room + "pre_transformer_layer.0", 1e-6)
    for index in range(part.blocks):
        block = f"{room}blocks.{index}."
        x = x + _attention(_norm(x, weights, block + "norm_1", 1e-6), weights, block + "attn.", part)
        inner = _linear(_norm(x, weights, block + "norm_2", 1e-6), weights, block + "mlp.fc1")
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        x = x + _linear(inner, weights, block + "mlp.fc2")
    return x


def _attention(x: Tensor, weights: dict[str, Tensor], name: str, part: Part) -> Tensor:
    width, each = part.width, part.width // part.heads
    big, bias = weights[name + "in_proj_weight"], weights[name + "in_proj_bias"]
    q, k, v = (x @ big[i * width : (i + 1) * width].T + bias[i * width : (i + 1) * width] for i in range(3))
    if part.bias_kv:
        k = torch.cat([k, weights[name + "bias_k"][0]])
        v = torch.cat([v, weights[name + "bias_v"][0]])
    heads = []
    for h in range(part.heads):
        mine = slice(h * each, (h + 1) * each)
        rows = []
        for query in range(len(x)):
            seen = query + 1 if part.kind == "text" else len(k)
            level = (k[:seen, mine] @ q[query, mine]) / math.sqrt(each)
            share = (level - level.max()).exp()
            rows.append((share / share.sum()) @ v[:seen, mine])
        heads.append(torch.stack(rows))
    return _linear(torch.cat(heads, 1), weights, name + "out_proj")


def _linear(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def _norm(x: Tensor, weights: dict[str, Tensor], name: str, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    level = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return level * weights[name + ".weight"] + weights[name + ".bias"]

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from limbeck.encoders.imagebind import BASE, PARTS, TINY, draw_weights, module_of
from limbeck.encoders.imagebind.model import on_meta
from limbeck.errors import ShapeError
from limbeck.rng import stream
from tests.encoders.imagebind.toy import TOY, toy_items, toy_weights
from tests.reference.imagebind_literal import literal_embedding


@pytest.mark.parametrize("kind", PARTS)
def test_it_equals_what_is_written_out(kind: str) -> None:
    part, weights = TOY.part(kind), toy_weights(TOY.part(kind))
    weights = {n: w.requires_grad_() for n, w in weights.items()}
    x = toy_items(part)
    inputs = [] if kind == "text" else [x.requires_grad_()]
    fast, slow = functional_call(on_meta(part, 6), weights, (x,)), literal_embedding(weights, part, x)
    torch.testing.assert_close(fast, slow)
    look = torch.randn(fast.shape, generator=stream(0, "look"), dtype=torch.float64)
    wanted = [*inputs, *weights.values()]
    for a, b in zip(*(torch.autograd.grad((y * look).sum(), wanted) for y in (fast, slow)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", [kind for kind in PARTS if kind != "text"])
def test_slopes_of_items(kind: str) -> None:
    part, weights = TOY.part(kind), toy_weights(TOY.part(kind))
    assert torch.autograd.gradcheck(
        lambda x: functional_call(on_meta(part, 6), weights, (x,)), toy_items(part, 1).requires_grad_()
    )


def test_a_still_is_a_film_of_equal_frames() -> None:
    part, weights = TOY.part("vision"), toy_weights(TOY.part("vision"))
    module, x = module_of(part, 6, weights), toy_items(part, 3)
    film = x[:, None, :, None].expand(-1, 1, -1, 2, -1, -1)
    torch.testing.assert_close(module(x), module(film))
    moving = torch.cat([film[:, :, :, :1], film[:, :, :, 1:] * 2], 3)
    torch.testing.assert_close(module(moving), literal_embedding(weights, part, moving[:, 0]))


@pytest.mark.parametrize("kind", ["vision", "audio", "imu"])
def test_clips_are_averaged_after_their_length_is_set(kind: str) -> None:
    part = TOY.part(kind)
    module, x = module_of(part, 6, toy_weights(part)), toy_items(part, 6)
    clips = module(x.unflatten(0, (2, 3)))
    torch.testing.assert_close(clips, module(x).unflatten(0, (2, 3)).mean(1))
    assert float(clips.norm(dim=1).max()) < part.scale - 1e-6  # not of the full length again


def test_embeddings_have_the_modalitys_length() -> None:
    for part in TOY.parts:
        module = module_of(part, 6, draw_weights(part, 6, stream(0, "w")))
        x = toy_items(part)
        found = module(x if part.kind == "text" else x.float())
        torch.testing.assert_close(found.norm(dim=1), torch.full((2,), part.scale))


def test_a_learnt_scale_ends_at_100() -> None:
    weights = toy_weights(TOY.part("text"))
    weights["modality_postprocessors.text.1.log_logit_scale"] = torch.tensor(9.0, dtype=torch.float64)
    found = module_of(TOY.part("text"), 6, weights)(toy_items(TOY.part("text")))
    torch.testing.assert_close(found.norm(dim=1), torch.full((2,), 100.0, dtype=torch.float64))


def test_text_is_read_up_to_its_end_and_not_beyond() -> None:
    module = module_of(TOY.part("text"), 6, toy_weights(TOY.part("text")))
    one = torch.tensor([[3, 8, 29, 0, 0, 0, 0]])
    behind = torch.tensor([[3, 8, 29, 5, 6, 7, 8]])
    before = torch.tensor([[3, 9, 29, 0, 0, 0, 0]])
    torch.testing.assert_close(module(one), module(behind))
    assert not torch.allclose(module(one), module(before))


@pytest.mark.parametrize("kind", ["audio", "imu"])
def test_drop_path_hangs_on_its_draw_and_keeps_the_mean(kind: str) -> None:
    part = replace(TOY.part(kind), drop_path=0.5)
    module = module_of(part, 6, toy_weights(part))
    x = toy_items(part, 2)
    plain, one, again, other = module(x), *(module(x, stream(seed, "draw")) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, plain)
    block = module.trunk.blocks[1]
    tokens = torch.randn(1, 5, 8, generator=stream(0, "t"), dtype=torch.float64).expand(20_000, -1, -1)
    kept = block._path(tokens, stream(0, "many"))
    assert block.drop == 0.5
    torch.testing.assert_close(kept.mean(0), tokens[0], atol=0.05, rtol=0)
    assert module.trunk.blocks[0].drop == 0


def test_only_sound_and_imu_change_while_training() -> None:
    assert {p.kind for p in TINY.parts if p.drop_path or p.dropout} == {"audio", "imu"}
    part = TOY.part("depth")
    module = module_of(part, 6, toy_weights(part))
    assert torch.equal(module(toy_items(part)), module(toy_items(part), stream(0, "draw")))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", PARTS)
def test_half_weights_are_close(kind: str, dtype: torch.dtype) -> None:
    part = TOY.part(kind)
    weights = draw_weights(part, 6, stream(0, "w"))
    low = {n: w.to(dtype) if w.dim() else w for n, w in weights.items()}
    x = toy_items(part, 3)
    x = x if kind == "text" else x.float()
    full, rough = (functional_call(on_meta(part, 6), w, (x,)) for w in (weights, low))
    assert rough.dtype == torch.float32
    assert 0 < float((full - rough).abs().max()) < 0.1 * part.scale


@pytest.mark.parametrize("kind", PARTS)
def test_other_shapes_are_refused(kind: str) -> None:
    part = TOY.part(kind)
    module = module_of(part, 6, toy_weights(part))
    x = toy_items(part)
    for wrong in (x[..., :-1], x[0], x[:, None, None]):
        with pytest.raises(ShapeError, match=f"ImageBind's {kind} takes"):
            module(wrong)


@pytest.mark.parametrize("config", [TINY, BASE], ids=lambda c: c.name)
def test_every_modality_runs_at_the_published_input(config) -> None:
    for part in config.parts:
        weights = draw_weights(part, config.embedding, stream(0, "w"))
        shape = (2, *part.input)
        x = torch.randint(part.vocabulary, shape, generator=stream(0, "x")) if part.kind == "text" else None
        x = torch.randn(shape, generator=stream(0, "x")) if x is None else x
        with torch.no_grad():
            found = functional_call(on_meta(part, config.embedding), weights, (x,))
        assert found.shape == (2, config.embedding)
        assert not torch.allclose(found[0], found[1])

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from limbeck.encoders.imagebind import ImageBindPart, TokenText, draw_weights, module_of, text_features, token_values
from limbeck.encoders.imagebind.tokens import UNUSED
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Text
from limbeck.rng import stream
from tests.encoders.imagebind.toy import TOY, toy_items, toy_weights
from tests.reference.imagebind_literal import literal_embedding

PART = TOY.part("text")
IDS = torch.tensor([[3, 8, 29, 0, 0, 0, 0], [3, 1, 4, 7, 9, 2, 29]])


@pytest.fixture
def drawn() -> dict[str, Tensor]:
    return draw_weights(PART, 6, stream(0, "w"))


@pytest.fixture
def text(drawn: dict[str, Tensor]) -> ImageBindPart:
    return module_of(PART, 6, drawn)


def test_token_values_of_a_caption_embed_as_the_caption(text: ImageBindPart, drawn: dict[str, Tensor]) -> None:
    encoder = TokenText(TOY)
    weights = {n: drawn[n] for n in encoder.shapes}
    assert not set(UNUSED) & set(weights)
    items = token_values(text, IDS)
    assert items.shape == (2, *encoder.input_shape) == (2, 7 * 8 + 1)
    assert items[:, -1].tolist() == [2, 6]
    torch.testing.assert_close(encoder.embed(weights, items), text_features(text, IDS))
    torch.testing.assert_close(text_features(text, IDS), literal_embedding(drawn, PART, IDS))


def test_tokens_equal_what_is_written_out_and_learn() -> None:
    weights = toy_weights(PART)
    encoder = TokenText(TOY)
    tokens = torch.randn(2, 7, 8, generator=stream(0, "t"), dtype=torch.float64, requires_grad=True)
    place = torch.tensor([3, 6])
    items = torch.cat([tokens.flatten(1), place[:, None].double()], 1)
    fast = encoder.embed({n: weights[n] for n in encoder.shapes}, items)
    slow = literal_embedding(weights, PART, tokens, place)
    torch.testing.assert_close(fast, slow)
    a, b = (torch.autograd.grad(y.sin().sum(), tokens)[0] for y in (fast, slow))
    torch.testing.assert_close(a, b)
    assert not a[0, 4:].any()  # behind its end
    assert a[0, :4].any()


def test_the_end_has_no_slope_and_may_be_any_number(drawn: dict[str, Tensor]) -> None:
    encoder = TokenText(TOY)
    weights = {n: drawn[n] for n in encoder.shapes}
    x = torch.randn(3, 57, generator=stream(0, "x"))
    x[:, -1] = torch.tensor([2.4, -90.0, 1e9])
    x.requires_grad_()
    found = encoder.embed(weights, x)
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert slope[:, -1].tolist() == [0, 0, 0]
    whole = x.detach().clone()
    whole[:, -1] = torch.tensor([2.0, 0.0, 6.0])
    torch.testing.assert_close(encoder.embed(weights, whole), found)


def test_a_stores_constants_are_taken_out(drawn: dict[str, Tensor], text: ImageBindPart) -> None:
    modality = Text(shape=(57,), embedding="imagebind-tokens", mean=(0.5,), std=(2.0,))
    plain, read = TokenText(TOY), TokenText(TOY, modality)
    weights = {n: drawn[n] for n in plain.shapes}
    items = token_values(text, IDS)
    torch.testing.assert_close(read.embed(weights, (items - 0.5) / 2), plain.embed(weights, items))
    assert read.id != plain.id
    with pytest.raises(ConfigError, match="has 57 numbers, not 58"):
        TokenText(TOY, Text(shape=(58,)))


def test_its_weights_are_drawn_and_read(tmp_path: Path, drawn: dict[str, Tensor], text: ImageBindPart) -> None:
    encoder = TokenText(TOY)
    fresh = encoder.init(stream(0, "w"))
    assert fresh.keys() == encoder.shapes.keys()
    assert all(torch.equal(fresh[n], drawn[n]) for n in fresh)
    torch.save(text.state_dict(), tmp_path / "text.pth")
    found = encoder.load(tmp_path / "text.pth")
    assert found.keys() == encoder.shapes.keys()
    assert all(torch.equal(found[n], drawn[n]) for n in found)


def test_other_captions_are_refused(text: ImageBindPart) -> None:
    for ids, words in ((IDS[:, :-1], r"\(N, 7\) ids"), (IDS.float(), "float32"), (IDS + 1, "0 to 29, not 1 to 30")):
        for function in (text_features, token_values):
            with pytest.raises(ShapeError, match=words):
                function(text, ids)
    depth = TOY.part("depth")
    with pytest.raises(ConfigError, match="not depth"):
        text_features(module_of(depth, 6, toy_weights(depth)), toy_items(depth).long())

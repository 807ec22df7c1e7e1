from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.augment import DSA, FAMILIES, Draw
from limbeck.errors import ConfigError, ShapeError
from tests.reference import dsa as literal


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=25, deadline=None)
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    channels=st.sampled_from([1, 3]),
    height=st.integers(2, 13),
    width=st.integers(2, 13),
    siamese=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_every_family_is_its_literal_twin(
    family: str, channels: int, height: int, width: int, siamese: bool, seed: int
) -> None:
    g = generator(seed)
    x = torch.randn(4, channels, height, width, dtype=torch.float64, generator=g)
    draw = Draw(family, torch.rand(1 if siamese else 4, 3, dtype=torch.float64, generator=g))
    torch.testing.assert_close(DSA()(x, draw), literal.augment(x, family, draw.uniforms), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("corner", [0.0, 0.5, 0.999999999])
def test_the_ends_of_a_draw(family: str, corner: float) -> None:
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64, generator=generator())
    uniforms = torch.full((1, 3), corner, dtype=torch.float64)
    torch.testing.assert_close(DSA()(x, Draw(family, uniforms)), literal.augment(x, family, uniforms))
    per_item = Draw(family, uniforms.repeat(2, 1))
    torch.testing.assert_close(DSA()(x, per_item), literal.augment(x, family, uniforms))


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("items", [1, 2])
def test_gradients_once_and_twice(family: str, items: int) -> None:
    draw = Draw(family, torch.rand(items, 3, dtype=torch.float64, generator=generator(5)))
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=generator(), requires_grad=True)

    def change(v: torch.Tensor) -> torch.Tensor:
        return DSA()(v, draw)

    assert torch.autograd.gradcheck(change, x)
    assert torch.autograd.gradgradcheck(change, x)


def test_a_siamese_draw_is_the_same_for_every_item_batch_and_size() -> None:
    augment = DSA()
    for seed in range(30):
        draw = augment.draw(generator(seed))
        x = torch.randn(1, 3, 8, 8, generator=generator(seed))
        many = augment(x.expand(5, -1, -1, -1), draw)
        torch.testing.assert_close(many, augment(x, draw).expand(5, -1, -1, -1))
        assert augment(torch.randn(2, 1, 12, 6), draw).shape == (2, 1, 12, 6)


def test_per_item_draws_differ_between_items() -> None:
    augment = DSA(("rotate",))
    x = torch.randn(1, 3, 8, 8, generator=generator()).expand(5, -1, -1, -1)
    y = augment(x, augment.draw_items(generator(), 5))
    assert all(not torch.allclose(y[0], y[i]) for i in range(1, 5))


def test_draws_hang_on_the_generator_alone_and_use_every_family() -> None:
    augment = DSA()
    g = generator()
    families = [augment.draw(g).family for _ in range(600)]
    assert {f: families.count(f) > 60 for f in augment.families} == dict.fromkeys(augment.families, True)
    first, second = augment.draw(generator(7)), augment.draw(generator(7))
    assert first.family == second.family
    assert torch.equal(first.uniforms, second.uniforms)


def test_the_input_is_left_as_it_was() -> None:
    x = torch.randn(3, 3, 8, 8, generator=generator())
    before = x.clone()
    for family in FAMILIES:
        for items in (1, 3):
            DSA()(x, Draw(family, torch.rand(items, 3, dtype=torch.float64)))
    assert torch.equal(x, before)


def test_one_channel_keeps_its_saturation() -> None:
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=generator())
    for saturation in (0.0, 0.9):
        uniforms = torch.tensor([[0.5, saturation, 0.5]], dtype=torch.float64)
        torch.testing.assert_close(DSA()(x, Draw("color", uniforms)), x)


def test_wrong_uses_are_told() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'cutout'"):
        DSA(("cutot",))
    with pytest.raises(ConfigError):
        DSA(())
    draw = DSA().draw_items(generator(), 3)
    with pytest.raises(ShapeError, match="3 items, the batch has 4"):
        DSA()(torch.zeros(4, 1, 4, 4), draw)
    with pytest.raises(ShapeError):
        DSA()(torch.zeros(4, 8), DSA().draw(generator()))


def test_id_names_the_families() -> None:
    assert DSA().id != DSA(("flip",)).id
    assert "flip" in DSA(("flip",)).id

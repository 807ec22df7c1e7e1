from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ShapeError
from limbeck.losses.prototypes import Prototypes, align, class_means
from limbeck.rng import stream
from tests.reference import decoupling as literal

NAMES = ("audio", "image")


def pair(seed, *shape, names=NAMES):
    return {m: torch.randn(*shape, generator=stream(seed, m), dtype=torch.float64) for m in names}


def labels_of(seed, *shape, classes=4):
    return torch.randint(classes, shape, generator=stream(seed, "labels"))


def as_lists(z):
    return {name: x.tolist() for name, x in z.items()}


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(2, 5), st.sampled_from([None, 0.9]))
@settings(deadline=None)
def test_prototypes_and_alignment_are_the_printed_equations(seed, n, d, ema):
    ours = Prototypes.none(pair(seed, n, d), 4)
    printed, counts = {name: [None] * 4 for name in NAMES}, [0] * 4
    for step in range(3):
        z, labels = pair(seed + step, n, d), labels_of(seed + step, n)
        expected = literal.align(as_lists(z), labels.tolist(), printed)
        assert align(z, labels, ours).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
        ours = ours.updated(z, labels, ema=ema)
        literal.update(printed, counts, as_lists(z), labels.tolist(), ema)
        assert ours.counts.tolist() == counts
        for name in NAMES:
            for c, vector in enumerate(printed[name]):
                expected = torch.tensor([0.0] * d if vector is None else vector, dtype=torch.float64)
                torch.testing.assert_close(ours.values[name][c], expected, rtol=1e-8, atol=1e-10)


def test_the_first_mean_is_the_prototype_and_an_update_leaves_the_old_state():
    z, labels = pair(0, 3, 5), torch.tensor([1, 1, 2])
    before = Prototypes.none(z, 4)
    after = before.updated(z, labels)
    mean = z["audio"][:2].mean(0)
    torch.testing.assert_close(after.values["audio"][1], mean / mean.norm())
    assert before.counts.sum() == 0
    assert after.counts.tolist() == [0, 2, 1, 0]
    assert not after.values["image"][3].any()


def test_leading_dimensions_are_batches_of_their_own():
    z, labels = pair(0, 3, 6, 5), labels_of(0, 3, 6)
    again, other = pair(1, 3, 6, 5), labels_of(1, 3, 6)
    together = Prototypes.none(z, 4).updated(z, labels)
    cost, after = align(again, other, together), together.updated(again, other)
    for t in range(3):
        alone = Prototypes.none({m: x[t] for m, x in z.items()}, 4).updated({m: x[t] for m, x in z.items()}, labels[t])
        own = {m: x[t] for m, x in again.items()}
        torch.testing.assert_close(cost[t], align(own, other[t], alone))
        torch.testing.assert_close(after.values["image"][t], alone.updated(own, other[t]).values["image"])


def test_gradients():
    z, labels = pair(0, 6, 4), torch.tensor([0, 1, 0, 1, 0, 2])
    prototypes = Prototypes.none(z, 4).updated(pair(1, 3, 4), torch.tensor([0, 1, 3]))
    leaves = tuple(x.requires_grad_() for x in z.values())
    assert torch.autograd.gradcheck(lambda a, v: align({"audio": a, "image": v}, labels, prototypes), leaves)


def test_no_gradient_goes_to_prototypes():
    z, labels = pair(0, 4, 3), torch.tensor([0, 1, 2, 3])
    for x in z.values():
        x.requires_grad_()
    prototypes = Prototypes.none(z, 4).updated(z, labels)
    assert not prototypes.values["audio"].requires_grad


def test_three_modalities_sum_over_pairs():
    names = ("audio", "image", "text")
    z, labels, first = pair(0, 6, 4, names=names), labels_of(0, 6), pair(1, 9, 4, names=names)
    prototypes = Prototypes.none(z, 4).updated(first, torch.arange(9) % 4)
    expected = 0.0
    for pairing in (("audio", "image"), ("audio", "text"), ("image", "text")):
        some = Prototypes({m: prototypes.values[m] for m in pairing}, prototypes.counts)
        expected += align({m: z[m] for m in pairing}, labels, some).item()
    assert align(z, labels, prototypes).item() == pytest.approx(expected)


def test_what_does_not_fit_is_an_error():
    z, labels = pair(0, 4, 3), labels_of(0, 4)
    with pytest.raises(ShapeError, match="two or more"):
        align({"audio": z["audio"]}, labels, Prototypes.none({"audio": z["audio"]}, 4))
    with pytest.raises(ShapeError, match="prototypes of"):
        align(z, labels, Prototypes.none({"audio": z["audio"]}, 4))
    with pytest.raises(ShapeError, match="labels"):
        class_means(z["audio"], labels[:2], 4)

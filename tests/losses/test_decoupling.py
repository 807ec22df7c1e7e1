from __future__ import annotations

import pytest
import torch

from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.decoupling import Decoupling
from limbeck.losses.prototypes import Prototypes
from limbeck.rng import stream
from tests.reference import decoupling as literal

NAMES = ("audio", "image")
LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


def draw(seed, *shape, names=NAMES):
    return {m: torch.randn(*shape, generator=stream(seed, m), dtype=torch.float64) for m in names}


def prototypes_of(z, classes=4):
    return Prototypes.none(z, classes).updated(draw(7, 6, 5, names=tuple(z)), torch.tensor([0, 1, 0, 3, 1, 0]))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_sum_is_the_printed_equation(reduction):
    z, logits, fused = draw(0, 6, 5), draw(1, 6, 4), draw(2, 6, 4)["audio"]
    prototypes = prototypes_of(z)
    terms = Decoupling(reduction=reduction)(z, logits, fused, LABELS, prototypes)
    lists = {name: [p.tolist() if p.any() else None for p in v] for name, v in prototypes.values.items()}
    printed = literal.decoupling(
        {m: x.tolist() for m, x in z.items()}, {m: x.tolist() for m, x in logits.items()}, fused.tolist(),
        LABELS.tolist(), lists, 0.07, reduction,
    )  # fmt: skip
    assert list(terms) == ["class", "fused", "inter", "intra", "align"]
    assert sum(t.item() for t in terms.values()) == pytest.approx(printed, rel=1e-10)


def test_weights_are_factors_of_their_terms():
    z, logits, fused = draw(0, 6, 5), draw(1, 6, 4), draw(2, 6, 4)["audio"]
    plain = Decoupling(1, 1, 1, 1, 1)(z, logits, fused, LABELS, prototypes_of(z))
    other = Decoupling(2, 3, 5, 7, 11)(z, logits, fused, LABELS, prototypes_of(z))
    for (name, term), weight in zip(plain.items(), (2, 3, 5, 7, 11), strict=True):
        torch.testing.assert_close(other[name], weight * term)


def test_gradients():
    z, logits, fused = draw(0, 6, 5), draw(1, 6, 4), draw(2, 6, 4)["audio"]
    prototypes = prototypes_of(z)

    def loss(a, v, la, lv, f):
        terms = Decoupling(temperature=0.3)({"audio": a, "image": v}, {"audio": la, "image": lv}, f, LABELS, prototypes)
        return torch.stack(list(terms.values())).sum()

    leaves = [x.requires_grad_() for x in (*z.values(), *logits.values(), fused)]
    assert torch.autograd.gradcheck(loss, leaves)


def test_leading_dimensions_are_batches_of_their_own():
    z, logits, fused = draw(0, 3, 6, 5), draw(1, 3, 6, 4), draw(2, 3, 6, 4)["audio"]
    labels = torch.randint(4, (3, 6), generator=stream(0, "labels"))
    prototypes = Prototypes.none(z, 4).updated(draw(3, 3, 6, 5), labels)
    together = Decoupling()(z, logits, fused, labels, prototypes)
    for t in range(3):
        alone = Decoupling()(
            {m: x[t] for m, x in z.items()}, {m: x[t] for m, x in logits.items()}, fused[t], labels[t],
            Prototypes({m: p[t] for m, p in prototypes.values.items()}, prototypes.counts[t]),
        )  # fmt: skip
        for name, term in alone.items():
            torch.testing.assert_close(together[name][t], term)


def test_what_does_not_fit_is_an_error():
    z, logits, fused = draw(0, 6, 5), draw(1, 6, 4), draw(2, 6, 4)["audio"]
    with pytest.raises(ShapeError, match="two or more"):
        Decoupling()({"audio": z["audio"]}, {"audio": logits["audio"]}, fused, LABELS, prototypes_of(z))
    with pytest.raises(ShapeError, match="logits of"):
        Decoupling()(z, {"audio": logits["audio"]}, fused, LABELS, prototypes_of(z))
    with pytest.raises(ShapeError, match="labels"):
        Decoupling()(z, logits, fused[:5], LABELS, prototypes_of(z))
    with pytest.raises(ConfigError, match="temperature"):
        Decoupling(temperature=0)

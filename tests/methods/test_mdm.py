"""MDM's terms and settings."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

from limbeck.errors import ConfigError
from limbeck.losses import spherical
from limbeck.losses.contrastive import info_nce
from limbeck.methods import method_class
from limbeck.methods.mdm import MDM
from limbeck.modalities import Feature, Text
from limbeck.synthetic import Budget
from tests.reference import mdm as literal


@dataclass
class Clouds:
    real: dict
    synthetic: dict


def clouds(real=7, synthetic=5, width=6, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    sides = [
        {name: F.normalize(torch.randn(n, width, generator=g, dtype=dtype), dim=1) for name in ("image", "text")}
        for n in (real, synthetic)
    ]
    return Clouds(*sides)


def total(method, seen):
    return torch.stack(list(method.loss(seen).values())).sum()


def test_it_is_the_papers_loss():
    seen = clouds()
    expected = literal.loss(list(seen.real.values()), list(seen.synthetic.values()))
    found = MDM().loss(seen)
    assert list(found) == ["contrast", "agreement", "discrepancy"]
    for name, term in found.items():
        torch.testing.assert_close(term, expected[name].to(term))


@pytest.mark.parametrize("matching", ["spherical", "separate", "joint"])
def test_gradients_of_every_matching(matching):
    seen = clouds()
    method = MDM(matching=matching)

    def value(a, b):
        return total(method, Clouds(seen.real, {"image": F.normalize(a, dim=1), "text": F.normalize(b, dim=1)}))

    leaves = [x.clone().requires_grad_() for x in seen.synthetic.values()]
    assert torch.autograd.gradcheck(value, leaves)


@pytest.mark.parametrize("matching", ["spherical", "separate", "joint"])
def test_equal_clouds_have_nothing_to_match(matching):
    seen = clouds()
    seen.real = {name: x.clone() for name, x in seen.synthetic.items()}
    terms = MDM(matching=matching, contrast=0).loss(seen)
    assert terms
    assert all(float(term) == 0 for term in terms.values())


def test_separate_and_joint_compare_what_they_say():
    seen = clouds()
    separate = MDM(matching="separate", agreement=0.3, discrepancy=0.7, contrast=0).loss(seen)
    for term, (name, weight) in zip(separate.values(), (("image", 0.3), ("text", 0.7)), strict=True):
        torch.testing.assert_close(term, weight * spherical.kernel_distance(seen.real[name], seen.synthetic[name]))
    joint = MDM(matching="joint", agreement=0.3, discrepancy=0.7, contrast=0).loss(seen)
    both = [torch.cat(list(side.values()), 1) / 2**0.5 for side in (seen.real, seen.synthetic)]
    torch.testing.assert_close(joint["joint"], spherical.kernel_distance(*both))
    assert len(joint) == 1


def test_a_term_of_weight_zero_is_not_computed(monkeypatch):
    seen = clouds()
    alone = MDM(agreement=0, discrepancy=0)
    assert not alone.matches
    monkeypatch.setattr(spherical, "kernel_distance", None)
    found = alone.loss(Clouds({}, seen.synthetic))
    assert list(found) == ["contrast"]
    torch.testing.assert_close(found["contrast"], info_nce(*seen.synthetic.values(), temperature=0.07))
    monkeypatch.undo()
    assert list(MDM(agreement=0).loss(seen)) == ["contrast", "discrepancy"]
    assert list(MDM(discrepancy=0, contrast=0).loss(seen)) == ["agreement"]


def test_weights_kernel_and_estimator_are_heard():
    seen = clouds()
    base = MDM(contrast=0).loss(seen)["agreement"]
    torch.testing.assert_close(MDM(contrast=0, agreement=1.6).loss(seen)["agreement"], 2 * base)
    torch.testing.assert_close(MDM(contrast=3.0).loss(seen)["contrast"], 3 * MDM().loss(seen)["contrast"])
    for other in ({"kernel": "cosine"}, {"kernel": "chordal"}, {"bandwidth": 1.0}, {"biased": False}):
        assert float(MDM(contrast=0, **other).loss(seen)["agreement"]) != pytest.approx(float(base), rel=1e-3)


@pytest.mark.parametrize(("pairs", "rate"), [(20, 100), (100, 100), (200, 100), (300, 100), (400, 1000), (500, 1000)])
def test_rates_are_those_of_the_nearest_budget(pairs, rate):
    assert MDM.published(Budget(pairs=pairs)) == {"lr": rate}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"contrast": 0, "agreement": 0, "discrepancy": 0}, "weights"),
        ({"agreement": -1}, "weights"),
        ({"matching": "sphere"}, "spherical"),
        ({"kernel": "rbf"}, "unknown kernel"),
        ({"model": "mixed"}, "merged"),
        ({"bandwidth": 0}, "bandwidth"),
        ({"temperature": float("nan")}, "temperature"),
        ({"synthetic_batch": 0}, "synthetic_batch"),
        ({"expert_batch": 0}, "expert_batch"),
        ({"alpha": 1.5}, "alpha"),
        ({"experts": 1, "expert_epochs": 1}, "2 experts a merge"),
        ({"experts_per_merge": 1}, "1 experts a merge"),
        ({"pool": -1}, "pool"),
        ({"pool": 2, "real_augment": "randaugment"}, "cannot be augmented"),
    ],
)
def test_settings_that_do_not_fit(settings, says):
    with pytest.raises(ConfigError, match=says):
        MDM(**settings)


def test_it_works_on_any_two_modalities_by_pairs():
    method, two = method_class("mdm")(), {"feature": Feature(shape=(4,)), "text": Text(shape=(4,))}
    method.check(two, Budget(pairs=10))
    with pytest.raises(ConfigError, match="by class"):
        method.check(two, Budget(per_class=1))
    with pytest.raises(ConfigError, match="2 modalities"):
        method.check({"text": two["text"]}, Budget(pairs=10))
    assert method.selection_options == {"model": "merged", "cluster": "joint"}

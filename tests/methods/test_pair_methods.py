"""MTT-VL, TESLA with weighted BCE and LoRS: their settings, their losses, and what runs of them say."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

import limbeck
from limbeck.config import build
from limbeck.data.toy import make_toy
from limbeck.engine import run as run_module
from limbeck.engine.plan import plan
from limbeck.engine.settings import resolve
from limbeck.errors import ConfigError
from limbeck.losses.contrastive import info_nce
from limbeck.methods import method_class
from limbeck.methods.lors import LoRS
from limbeck.methods.mtt_vl import MTTVL
from limbeck.methods.tesla_wbce import TeslaWBCE
from limbeck.rng import stream
from limbeck.synthetic import Budget
from limbeck.synthetic.similarity import Factors
from tests.reference.similarity import weighted_bce

KINDS = {"mtt_vl": MTTVL, "tesla_wbce": TeslaWBCE, "lors": LoRS}


def rows(seed, *shape):
    return torch.randn(*shape, generator=stream(seed, "rows"), dtype=torch.float64)


@pytest.mark.parametrize(
    ("pairs", "lr", "similarity_rate", "rank", "alpha", "batch", "starts"),
    [(100, 100, 10, 10, 3, 20, 2), (200, 1000, 10, 5, 1, 20, 2), (500, 1000, 100, 20, 0.01, 40, 3)],
)
@pytest.mark.parametrize("factor", [1, 0.75, 1.4])
def test_the_published_scripts(toy, pairs, lr, similarity_rate, rank, alpha, batch, starts, factor):
    """Flickr30k's, and at other budgets that of the nearest by ratio."""
    budget = Budget(pairs=round(pairs * factor))
    lors, plain = LoRS().for_budget(budget), TeslaWBCE().for_budget(budget)
    assert (lors.similarity_rate, lors.rank, lors.alpha) == (similarity_rate, rank, alpha)
    for method in (lors, plain):
        assert (method.inner_batch, method.max_start_epoch, method.gradient) == (batch, starts, "tesla")
        assert resolve(type(method), toy, {"pairs": budget.pairs}).lr == lr


@pytest.mark.parametrize("name", KINDS)
def test_what_all_have_in_common(toy, name):
    method = method_class(name)().for_budget(Budget(pairs=100))
    assert (method.inner_steps, method.expert_epochs, method.experts) == (8, 1, 20)
    assert (method.expert_rate, method.expert_batch) == (0.1, 128)
    assert (method.step_size, method.step_size_rate, method.temperature) == (0.1, 1e-2, 0.07)
    run = resolve(KINDS[name], toy, {"pairs": 100})
    assert (run.init, run.momentum, run.steps, run.augment, run.clip) == ("random", 0.5, 3000, "", None)
    assert (KINDS[name].by, KINDS[name].modalities, KINDS[name].objective) == (("pairs",), (2, 2), "pair_trajectories")


def test_mtt_vl_as_published(toy):
    method = MTTVL().for_budget(Budget(pairs=500))
    assert (method.inner_batch, method.max_start_epoch, method.gradient) == (100, 2, "exact")
    assert method.fresh_batches
    assert resolve(MTTVL, toy, {"pairs": 500}).lr == 1000


def test_what_is_told_stands():
    given = LoRS(rank=3, alpha=0.5, similarity_rate=2.0, inner_batch=7, max_start_epoch=5)
    assert given.for_budget(Budget(pairs=200)) == given
    assert LoRS().for_budget(Budget(pairs=100)).for_budget(Budget(pairs=500)).rank == 10  # settled once


def test_the_similarity_takes_the_place_of_a_pair():
    assert [kind.stored_pairs(100) for kind in KINDS.values()] == [100, 100, 99]


def test_mtt_vl_is_info_nce():
    a, b = rows(0, 5, 4), rows(1, 5, 4)
    assert torch.equal(MTTVL().inner_loss(a, b, None), info_nce(a, b, temperature=0.07))
    legacy = MTTVL(legacy_logit_scale=True).inner_loss(a, b, None)
    torch.testing.assert_close(legacy, info_nce(a, b, temperature=1 / 2.659260036932778))


def test_tesla_wbce_is_lors_at_its_start():
    a, b = rows(0, 6, 4), rows(1, 6, 4)
    lors = LoRS().for_budget(Budget(pairs=100))
    start = Factors.identity(6, 10, stream(0, "similarity"))
    plain = TeslaWBCE().inner_loss(a, b, None)
    assert torch.equal(plain, lors.inner_loss(a, b, Factors(*(x.double() for x in start))))
    literal = weighted_bce(a.tolist(), b.tolist(), torch.eye(6).tolist(), 0.07)
    assert float(plain) == pytest.approx(literal, rel=1e-9)


def test_the_identity_in_closed_form():
    """Two pairs at right angles and alike: cosines 1 on the diagonal and 0 off it."""
    eye = torch.eye(2, dtype=torch.float64)
    positive = -math.log(1 / (1 + math.exp(-1 / 0.07)) + 1e-6) * 2 / (2 + 1e-6)
    negative = -math.log(0.5 + 1e-6) * 2 / (2 + 1e-6)
    found = TeslaWBCE().inner_loss(eye, eye, None)
    assert float(found) == pytest.approx((positive + negative) / 2, rel=1e-12)


@pytest.mark.parametrize("merged", [False, True])
def test_distances_by_own_and_by_common_way(merged):
    start = {"image": rows(0, 4), "text": rows(1, 3)}
    target = {name: x + k for k, (name, x) in enumerate(start.items(), start=1)}
    reached = {name: x + 0.5 for name, x in start.items()}
    method = TeslaWBCE(merged_normaliser=merged)
    seen = SimpleNamespace(start=start, target=target, reached=reached)
    apart, own = {"image": 4 * 0.25, "text": 3 * 2.25}, {"image": 4.0, "text": 12.0}
    below = dict.fromkeys(own, 16.0) if merged else own
    found, steps = method.loss(seen), method.of_step_sizes(seen)
    assert {k: float(v) for k, v in found.items()} == pytest.approx({k: apart[k] / below[k] for k in apart})
    assert {k: float(v) for k, v in steps.items()} == pytest.approx({k: apart[k] / own[k] for k in apart})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lors", {"inner_steps": 0}, "inner_steps is 0"),
        ("lors", {"inner_batch": 0}, "inner_batch is 0"),
        ("mtt_vl", {"experts": 0}, "experts is 0"),
        ("mtt_vl", {"max_start_epoch": -1}, "max_start_epoch is -1"),
        ("mtt_vl", {"temperature": 0.0}, "temperature is 0"),
        ("mtt_vl", {"temperature": 1.5, "legacy_logit_scale": True}, "no scale"),
        ("tesla_wbce", {"step_size": float("nan")}, "step_size is nan"),
        ("tesla_wbce", {"step_size_rate": -1.0}, "step_size_rate is -1"),
        ("tesla_wbce", {"expert_rate": 0.0}, "expert_rate is 0"),
        ("tesla_wbce", {"rank": 3}, "unknown setting method.rank"),
        ("lors", {"rank": 0}, "rank is 0"),
        ("lors", {"alpha": float("inf")}, "alpha is inf"),
        ("lors", {"similarity_rate": -2.0}, "similarity_rate is -2"),
        ("lors", {"gradient": "full"}, "gradient is 'full'"),
    ],
)
def test_settings_that_cannot_be(toy, name, settings, message):
    with pytest.raises(ConfigError, match=message):
        plan(name, toy, settings={"pairs": 4}, method_settings=settings)


def test_budgets_that_cannot_be(toy):
    with pytest.raises(ConfigError, match="no budget by class"):
        plan("lors", toy, settings={"per_class": 1})
    with pytest.raises(ConfigError, match="leaves none"):
        plan("lors", toy, settings={"pairs": 1})
    with pytest.raises(ConfigError, match="needs 2 modalities"):
        plan("mtt_vl", toy, settings={"pairs": 4, "modalities": ("image",)})


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("lors") / "store", modalities=("image", "text"), per_class=(6, 2, 2))


def test_a_cut_run_saves_the_same_similarity(captioned, small, tmp_path, monkeypatch):
    """Through the files of a run: towers, experts, checkpoint and artifact as users have them."""
    given = {
        **small, "pairs": 7, "steps": 4, "tower": "convnet", "pretrained": "none", "captions": "hashing",
        "validate": "none", "checkpoint_every": 0,
    }  # fmt: skip
    own = {"experts": 2, "expert_batch": 8, "inner_batch": 3, "similarity_rate": 0.1}
    whole = limbeck.distill("lors", captioned, out=tmp_path / "whole", method_settings=own, **given)

    class Cut(Exception):
        pass

    def cut(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        if state.step == 2:
            raise Cut

    monkeypatch.setattr(run_module, "write_checkpoint", cut)
    with pytest.raises(Cut):
        limbeck.distill("lors", captioned, out=tmp_path / "cut", method_settings=own, **given)
    monkeypatch.undo()
    limbeck.distill("lors", out=tmp_path / "cut", resume=True)
    one, two = (limbeck.load(tmp_path / name) for name in ("whole", "cut"))
    assert (len(one), one.similarity.alpha, one.similarity.factors.left.shape) == (6, 3.0, (6, 10))
    assert not torch.allclose(one.similarity.full(), torch.eye(6), atol=1e-3)
    for a, b in zip(one.similarity.factors, two.similarity.factors, strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(v, two.values[k]) for k, v in one.values.items())
    assert one.provenance["step_sizes"] == two.provenance["step_sizes"] == whole.provenance["step_sizes"]
    assert one.provenance["settings"]["method"]["gradient"] == "tesla"


@pytest.mark.parametrize("name", KINDS)
def test_shared_settings_are_told_once_for_each(name):
    text = KINDS[name].card()["description"]
    assert text.count("Args:") == 1
    assert all(text.count(f"\n    {f.name}:") <= 1 for f in dataclasses.fields(KINDS[name]))
    assert build(KINDS[name], {"independent_starts": True}).independent_starts

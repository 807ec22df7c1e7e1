"""Trajectories of two towers: every gradient is the literal's, frozen parts cost one pass, and a cut run goes on."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from limbeck.data.toy import make_toy
from limbeck.encoders.base import Encoder
from limbeck.encoders.head import ProjectionHead
from limbeck.encoders.tower import Tower, TwoTower
from limbeck.engine.loop import Loop
from limbeck.engine.objectives import pair_trajectories as room
from limbeck.engine.objectives.pair_trajectories import PairTrajectories
from limbeck.engine.plan import plan
from limbeck.errors import ResumeError
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from tests.reference.lors import batches, literal_gradient, literal_tesla

PAIRS, PIXELS, FEATURES, TEXT, WIDTH = 9, 3 * 4 * 4, 6, 5, 7
FEW = {"experts": 3, "inner_steps": 4, "inner_batch": 4, "step_size": 0.3, "temperature": 0.3}
"""At the papers' temperature the literal's 1 - p has twelve digits at most."""
METHODS = ("mtt_vl", "tesla_wbce", "lors")
pytestmark = pytest.mark.usefixtures("towers")


@dataclasses.dataclass(frozen=True)
class Squash(Encoder):
    """A frozen part that is no linear map, and remembers how many items it saw at once."""

    id, embedding, input_shape = "squash", FEATURES, (3, 4, 4)
    seen: list = dataclasses.field(default_factory=list, compare=False)

    def init(self, generator, *_):
        return {"weight": torch.randn(FEATURES, PIXELS, generator=generator, dtype=torch.float64)}

    def embed(self, weights, x):
        self.seen.append((len(x), torch.is_grad_enabled()))
        return torch.tanh(0.1 * F.linear(x.flatten(1), weights["weight"]))


class Snapshots:
    """Experts that walk at random, in float64."""

    def __init__(self, towers):
        self.towers, self.built = towers.towers, {}

    def build(self, *_, **about):
        self.built = about
        return self

    def snapshot(self, name, expert, epoch, *_):
        first = self.towers[name].layout.flatten(self.towers[name].init(stream(0, "expert", name))).double()
        steps = [torch.randn(first.shape, generator=stream(expert, name, e), dtype=torch.float64) for e in range(epoch)]
        return sum((0.05 * s for s in steps), first)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_toy(
        tmp_path_factory.mktemp("pairs") / "store", modalities=("image", "text"), per_class=(3, 1, 1), image_size=4,
        features=TEXT,
    )  # fmt: skip


@pytest.fixture
def towers(monkeypatch):
    """A frozen part and a head, and a head alone, in the place of what a run makes."""
    squash = Squash()
    made = TwoTower({
        "image": Tower("squash", ProjectionHead(FEATURES, WIDTH), squash, squash.init(stream(0, "squash"))),
        "text": Tower("head", ProjectionHead(TEXT, WIDTH)),
    })  # fmt: skip
    asked = []

    def paired(planned, **_):
        asked.append(planned.numerics)
        return SimpleNamespace(pairs=None, towers=made, asked=asked)

    monkeypatch.setattr(room, "paired", paired)
    monkeypatch.setattr(room, "PairExperts", Snapshots(made))
    return made


def lift(x):
    return torch.tanh(0.1 * F.linear(x.flatten(1), Squash().init(stream(0, "squash"))["weight"]))


def loop_of(store, small, name, *, pairs=PAIRS, lr=1.0, group=None, **method):
    planned = plan(
        name, store, settings={**small, "pairs": pairs, "steps": 4, "lr": lr, "group": group, "captions": "hashing"},
        method_settings={**FEW, **method},
    )  # fmt: skip
    values = {
        "image": torch.randn(pairs, 3, 4, 4, generator=stream(1, "image"), dtype=torch.float64),
        "text": torch.randn(pairs, TEXT, generator=stream(1, "text"), dtype=torch.float64),
    }
    modalities = {n: dataclasses.replace(m, shape=values[n].shape[1:]) for n, m in store.modalities.items()}
    loop = Loop(planned, SyntheticSet(modalities, values))
    similarity = loop.objective._similarity
    if similarity is not None:  # away from the identity, at which w, L and R are not all felt
        away = [0.3 * torch.randn(x.shape, generator=stream(k, "away"), dtype=torch.float64) for k, x in
                enumerate(similarity.factors)]  # fmt: skip
        similarity._take(type(similarity.factors)(*(x + d for x, d in zip(similarity.factors, away, strict=True))))
    return loop


def gradient(loop, step=0):
    """By modality, by factor of the similarity, by step size; and the terms."""
    for value in loop.synthetic.values.values():
        value.grad = torch.zeros_like(value)
    (terms,) = loop.objective.parts(step)
    similarity = loop.objective._similarity
    of_factors = () if similarity is None else similarity.slopes
    of_rates = tuple(loop.objective._steps.slopes.values())
    return (*(v.grad for v in loop.synthetic.values.values()), *of_factors), of_rates, terms


def assert_equal(found, wanted):
    for one, two in zip((*found[0], *found[1]), (*wanted[0], *wanted[1]), strict=True):
        assert float(two.abs().max()) > 1e-6
        assert float((one - two).abs().max()) <= 1e-12 * max(1.0, float(two.abs().max()))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("through", ["exact", "unroll"])
@pytest.mark.parametrize("settings", [{}, {"merged_normaliser": True, "independent_starts": True, "expert_epochs": 2}])
def test_the_gradient_is_that_of_the_whole_graph(store, small, name, through, settings):
    loop = loop_of(store, small, name, gradient=through, **settings)
    for step in (0, 1):
        found, wanted = gradient(loop, step), literal_gradient(loop.objective, step, lift)
        assert_equal(found, wanted)
        assert list(found[2]) == ["image", "text"]
        assert [float(t) for t in found[2].values()] == pytest.approx(wanted[2], rel=1e-12)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("merged", [False, True])
def test_tesla_is_the_printed_one(store, small, name, merged):
    loop = loop_of(store, small, name, gradient="tesla", merged_normaliser=merged)
    assert_equal(gradient(loop), literal_tesla(loop.objective, 0, lift))


@pytest.mark.parametrize("name", METHODS)
def test_dropout_draws_the_same_at_every_look(store, small, name):
    """Else the sweep would differentiate another loss than it walked down."""
    one, two = (loop_of(store, small, name, gradient=g, dropout=True) for g in ("exact", "unroll"))
    assert_equal(gradient(one), gradient(two))
    plain = gradient(loop_of(store, small, name, gradient="exact"))
    assert not torch.allclose(plain[0][0], gradient(one)[0][0], rtol=1e-3)


def test_the_authors_logit_scale(store, small):
    loop = loop_of(store, small, "mtt_vl", legacy_logit_scale=True)
    assert_equal(gradient(loop), literal_gradient(loop.objective, 0, lift))


def test_frozen_parts_see_each_pair_once_and_a_few_at_a_time(store, small, towers):
    wanted = gradient(loop_of(store, small, "lors", inner_steps=6))
    seen = towers.towers["image"].frozen.seen
    seen.clear()
    assert_equal(gradient(loop_of(store, small, "lors", inner_steps=6, group=4)), wanted)
    assert seen == [(4, False), (4, False), (1, False), (4, True), (4, True), (1, True)]


def test_pairs_that_no_inner_step_looks_at_stay(store, small):
    loop = loop_of(store, small, "lors", inner_steps=1)
    chosen = loop.objective.batches(0)[0]
    untouched = sorted(set(range(PAIRS)) - set(chosen.tolist()))
    for found in gradient(loop)[0]:
        assert float(found[untouched].abs().max()) == 0
        assert float(found[chosen].abs().max()) > 0


def test_batches_go_through_the_set(store, small):
    objective = loop_of(store, small, "lors", inner_steps=5).objective
    found = [b.tolist() for b in objective.batches(3)]
    assert found == batches(objective.method, objective.settings.seed, 3, PAIRS)
    assert [len(b) for b in found] == [4] * 5
    assert all(len(set(found[i] + found[i + 1])) == 8 for i in (0, 2))
    assert found != [b.tolist() for b in objective.batches(4)]
    fresh = loop_of(store, small, "mtt_vl", inner_steps=40).objective.batches(0)
    assert any(set(a.tolist()) & set(b.tolist()) for a, b in zip(fresh[::2], fresh[1::2], strict=True))
    assert all(len(set(b.tolist())) == 4 for b in fresh)


def test_a_batch_larger_than_the_set_is_the_set(store, small):
    objective = loop_of(store, small, "tesla_wbce", inner_batch=50).objective
    assert all(sorted(b.tolist()) == list(range(PAIRS)) for b in objective.batches(0))
    assert objective.items_per_step == 4 * PAIRS


@pytest.mark.parametrize("apart", [False, True])
def test_draws_cover_experts_and_starts(store, small, apart):
    objective = loop_of(store, small, "lors", independent_starts=apart, max_start_epoch=2, expert_epochs=3).objective
    assert objective.bank.built["epochs"] == 4
    assert objective.bank.built["experts"] == 3
    drawn = set()
    for step in range(60):
        start, target = objective.drawn(step)
        for expert in range(3):
            epochs = [
                e for n in start for e in range(2) if torch.equal(start[n], objective.bank.snapshot(n, expert, e))
            ]
            if len(epochs) == 2 and torch.equal(target["text"], objective.bank.snapshot("text", expert, epochs[1] + 3)):
                drawn.add((expert, *epochs))
    starts = {(a, b) for a in range(2) for b in range(2) if apart or a == b}
    assert {d[1:] for d in drawn} == starts


def test_step_sizes_and_similarity_are_learnt_and_travel(store, small):
    loop = loop_of(store, small, "lors", similarity_rate=0.5, step_size_rate=1e-3)
    before = loop.objective._similarity.factors
    (of_values, of_rates, _) = gradient(loop)
    next(loop.run(1))
    for was, now, slope in zip(before, loop.synthetic.similarity.factors, of_values[2:], strict=True):
        torch.testing.assert_close(now, was - 0.5 * slope)
    for size, slope in zip(loop.objective.learnt()["step_sizes"].values(), of_rates, strict=True):
        assert size == pytest.approx(0.3 * math.exp(-1e-3 * float(slope) / 0.3), rel=1e-12)
        assert size != 0.3
    full = loop.synthetic.similarity.full()
    assert not torch.allclose(full, torch.eye(PAIRS).double(), atol=1e-3)
    assert torch.equal(loop.synthetic.similarity.rows(torch.arange(PAIRS)), full)


def test_momentum_is_of_the_similarity_too(store, small):
    loop = loop_of(store, small, "lors", similarity_rate=0.5)
    factors = [x.clone() for x in loop.objective._similarity.factors]
    buffers = [torch.zeros_like(x) for x in factors]
    for _ in loop.run(3):
        for k, slope in enumerate(loop.objective._similarity.slopes):
            buffers[k] = 0.5 * buffers[k] + slope
            factors[k] = factors[k] - 0.5 * buffers[k]
    for one, two in zip(loop.objective._similarity.factors, factors, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def test_networks_are_literal_whatever_the_runs_kernels(store, small):
    loop_of(store, {**small, "precision": "bf16"}, "lors")
    run, own = room.paired(SimpleNamespace(numerics=None)).asked[:2]
    assert (run.kernels, run.precision) == ("literal", "bf16")
    assert (own.kernels, own.precision) == ("literal", "fp32")


@pytest.mark.parametrize("name", ["mtt_vl", "tesla_wbce"])
def test_no_similarity_where_none_is_learnt(store, small, name):
    loop = loop_of(store, small, name)
    next(loop.run(1))
    assert loop.synthetic.similarity is None


def test_it_begins_as_the_identity_of_the_seed(store, small):
    planned = plan("lors", store, settings={**small, "pairs": 2, "captions": "hashing"})
    values = {"image": torch.zeros(1, 3, 4, 4), "text": torch.zeros(1, TEXT)}
    modalities = {n: dataclasses.replace(m, shape=values[n].shape[1:]) for n, m in store.modalities.items()}
    synthetic = SyntheticSet(modalities, values)
    PairTrajectories(planned, synthetic)
    assert torch.equal(synthetic.similarity.full(), torch.eye(1))
    assert synthetic.similarity.alpha == 3.0


@pytest.mark.parametrize("name", METHODS)
def test_a_cut_run_goes_on_to_the_same_bits(store, small, name):
    def state(loop):
        similarity = loop.synthetic.similarity
        more = {} if similarity is None else similarity.factors._asdict()
        return {**loop.synthetic.values, **loop.momenta(), **loop.objective.state(), **more}

    whole, cut, again = (loop_of(store, small, name) for _ in range(3))
    list(whole.run(4))
    list(cut.run(2))
    values = {k: v.detach().clone() for k, v in cut.synthetic.values.items()}
    again.restore(2, values, cut.momenta(), cut.objective.state())
    list(again.run(4))
    wanted, found = state(whole), state(again)
    assert list(wanted) == list(found)
    assert all(torch.equal(x, found[k]) for k, x in wanted.items())


def test_anothers_checkpoint_is_refused(store, small):
    plain, learning = (loop_of(store, small, n).objective for n in ("tesla_wbce", "lors"))
    for objective, state in ((plain, learning.state()), (learning, plain.state()), (plain, {})):
        with pytest.raises(ResumeError, match=r"step sizes|similarity"):
            objective.restore(state)
    other = loop_of(store, small, "lors", rank=2).objective
    with pytest.raises(ResumeError, match="similarity"):
        learning.restore(other.state())

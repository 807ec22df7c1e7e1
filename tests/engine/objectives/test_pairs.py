"""A step by pairs: the literal one's gradient, whatever is cut into chunks or kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from limbeck.banks.merged_pool import MergedPool
from limbeck.data.toy import make_toy
from limbeck.engine.objectives import pairs as module
from limbeck.engine.objectives.pairs import PairMatching
from limbeck.engine.paired import Paired
from limbeck.engine.plan import plan
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from limbeck.training.pair_data import RealPairs
from tests.banks.test_merged_pool import Made
from tests.reference.mdm import literal_step

SETTINGS = {"pairs": 6, "tower": "convnet", "pretrained": "none", "captions": "hashing", "validate": "none"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy") / "store", modalities=("image", "text"), image_size=8)


@pytest.fixture
def made(store, small, monkeypatch):
    """Makes objectives; experts are made up, the towers are small. Several captions belong to a picture."""
    asked = []

    def pool(planned, found, *, rehearse, **_):
        asked.append(rehearse)
        method = planned.method
        return MergedPool(
            found.towers, Made(found.towers), model=method.model, alpha=method.alpha, pool=method.pool,
            seed=planned.settings.seed,
        )  # fmt: skip

    monkeypatch.setattr(module, "merged_pool", pool)

    def make(method=None, *, rehearse=False, **changes):
        given = {**small, **SETTINGS, **changes}
        planned = plan("mdm", store, settings=given, method_settings={"real_augment": "none", **(method or {})})
        base = Paired(planned)
        owner = np.repeat(np.arange(20), 3)
        numbers = np.arange(60) % base.pairs.captions.offsets[-1]
        base.__dict__["pairs"] = dataclasses.replace(
            base.pairs, items=base.pairs.items[:20], owner=owner, numbers=numbers
        )
        planned.made[rehearse] = base
        values = {name: v.requires_grad_() for name, v in base.pairs.batch(range(0, 60, 10)).items()}
        for value in values.values():
            value.grad = torch.zeros_like(value)
        found = PairMatching(planned, SyntheticSet(dict(base.pairs.modalities), values), rehearse=rehearse)
        assert asked[-1] is rehearse
        return found

    return make


def step_of(objective, step=0):
    for value in objective.synthetic.values.values():
        value.grad.zero_()
    (terms,) = objective.parts(step)
    return terms, {name: value.grad.clone() for name, value in objective.synthetic.values.items()}


def close(a, b, rtol=1e-4, atol=1e-7):
    assert a.keys() == b.keys()
    for name, x in a.items():
        torch.testing.assert_close(x.double(), b[name].double(), rtol=rtol, atol=atol)


def test_a_step_is_the_literal_one(made, tmp_path):
    objective = made({"synthetic_batch": 4})
    pool, towers = objective.networks, objective.towers.towers
    for step in range(2):
        draw = stream(0, "step", step, "network")
        files = []
        for expert, epoch in pool.chosen(draw):
            weights = {n: t.layout.weights(pool.experts.snapshot(n, expert, epoch)) for n, t in towers.items()}
            files.append(tmp_path / f"{expert}-{epoch}.safetensors")
            save_file({f"{n}.{k}": w.clone() for n, own in weights.items() for k, w in own.items()}, files[-1])
        anchors = objective.towers.init(lambda _, draw=draw: draw)
        real = objective.pairs.batch(objective.real_pairs(step))
        terms, gradients = literal_step(
            towers, files, anchors, real, objective.synthetic.values, objective.synthetic_pairs(step)
        )
        found = step_of(objective, step)
        close(found[0], {name: term.detach() for name, term in terms.items()}, rtol=1e-5)
        close(found[1], gradients, atol=1e-6)
        assert all(float(g.abs().max()) > 1e-4 for g in gradients.values())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("group", [2, 4])
def test_chunked_is_whole(made, frozen, group):
    whole, chunked = made(frozen=frozen), made(frozen=frozen, group=group)
    (terms, gradients), (own_terms, own) = step_of(whole), step_of(chunked)
    close(own_terms, terms, rtol=1e-5)
    close(own, gradients, atol=1e-6)


def test_dropout_drops_the_same_both_times(made):
    """Each chunk's gradient is that of what the loss saw, not of another draw."""
    objective = made({"dropout": True}, group=2)
    terms, gradients = step_of(objective)
    again, same = step_of(objective)
    close(again, terms, rtol=0, atol=0)
    close(same, gradients, rtol=0, atol=0)
    network = objective.networks.at(stream(0, "step", 0, "network"))
    values = {name: v.detach().clone().requires_grad_() for name, v in objective.synthetic.values.items()}
    rows = objective.synthetic_pairs(0).split(2)
    parts = [
        objective._embedded(0, i, network.weights, {n: v[r] for n, v in values.items()}) for i, r in enumerate(rows)
    ]
    real = objective.real_side.of(network, objective.real_pairs(0), dropout=objective._dropout(0, "real"))
    seen = module.units({name: torch.cat([p[name] for p in parts]) for name in values})
    loss = sum(objective.method.loss(module.Seen(module.units(real), seen)).values())
    found = dict(zip(values, torch.autograd.grad(loss, list(values.values())), strict=True))
    close(gradients, found, atol=1e-6)
    assert float(terms["contrast"]) != float(step_of(made(group=2))[0]["contrast"])


def test_a_graph_holds_a_chunk_at_most(made, monkeypatch):
    objective = made(group=2)
    sizes = {True: set(), False: set()}
    through = type(objective.towers).embed

    def counted(self, weights, lifted, draw=None):
        sizes[torch.is_grad_enabled()] |= {len(x) for x in lifted.values()}
        return through(self, weights, lifted, draw)

    monkeypatch.setattr(type(objective.towers), "embed", counted)
    step_of(objective)
    assert sizes == {True: {2}, False: {2}}


def test_only_pairs_of_the_batch_get_a_gradient(made):
    objective = made({"synthetic_batch": 2})
    assert objective.items_per_step == 2
    seen = set()
    for step in range(6):
        _, gradients = step_of(objective, step)
        rows = objective.synthetic_pairs(step).tolist()
        for gradient in gradients.values():
            assert gradient.flatten(1).any(1).nonzero()[:, 0].tolist() == sorted(rows)
        seen |= set(rows)
    assert len(seen) > 3


def test_real_batches_are_drawn_without_replacement(made):
    objective = made(real_batch=50)
    first, second = (objective.real_pairs(step).tolist() for step in (0, 1))
    assert len(set(first)) == 50
    assert set(first) <= set(range(60))
    assert first != second
    assert objective.real_pairs(0).tolist() == first
    assert sorted(made(real_batch=999).real_pairs(0).tolist()) == list(range(60))


def test_a_picture_goes_through_once_however_many_captions(made, monkeypatch):
    objective = made(real_batch=60)
    network = objective.networks.at(stream(0, "step", 0, "network"))
    plain = objective.towers.embed(network.weights, RealPairs(objective.pairs).batch(torch.arange(60)))
    sizes, tower = [], objective.towers.towers["image"]
    embed = type(tower.trained).embed

    def counted(self, weights, x):
        sizes.append(len(x))
        return embed(self, weights, x)

    monkeypatch.setattr(type(tower.trained), "embed", counted)
    close(objective.real_side.of(network, torch.arange(60)), plain, rtol=1e-5, atol=1e-6)
    assert sizes == [20]


def test_a_pool_keeps_what_its_networks_make_of_the_real_pairs(made, monkeypatch):
    objective = made({"pool": 2})
    expected = {}
    for step in range(8):
        network = objective.networks.at(stream(0, "step", step, "network"))
        chosen = objective.real_pairs(step)
        plain = objective.towers.embed(network.weights, RealPairs(objective.pairs).batch(chosen))
        expected[step] = plain
        close(objective.real_side.of(network, chosen), plain, rtol=1e-5, atol=1e-6)
    assert {slot for slot, _ in objective.real_side.tables} == {0, 1}
    assert objective.notes() == ["real embeddings: of all items through 2 of 2 networks"]
    monkeypatch.setattr(type(objective.pairs), "firsts", None)  # no picture is read again
    network = objective.networks.at(stream(0, "step", 3, "network"))
    close(objective.real_side.of(network, objective.real_pairs(3)), expected[3], rtol=1e-5, atol=1e-6)


def test_a_frozen_part_sees_each_picture_once(made, monkeypatch):
    objective = made(frozen=True)
    monkeypatch.setattr(type(objective.pairs), "firsts", None)
    for step in range(3):
        network = objective.networks.at(stream(0, "step", step, "network"))
        found = objective.real_side.of(network, objective.real_pairs(step))
        assert found["image"].shape == found["text"].shape == (8, objective.towers.towers["image"].embedding)


def test_contrast_alone_looks_at_no_real_pair(made):
    objective = made({"agreement": 0.0, "discrepancy": 0.0})
    assert objective.real_side is None
    terms, gradients = step_of(objective)
    assert list(terms) == ["contrast"]
    assert all(float(g.abs().max()) > 0 for g in gradients.values())


def test_real_pictures_are_augmented_where_asked(made):
    plain, other, kept = made(), made({"real_augment": "auto"}), made({"real_augment": "auto", "pool": 2})
    frozen, asked = made({"real_augment": "auto"}, frozen=True), made({"real_augment": "randaugment"}, frozen=True)
    wanted = [o.real_side.augment for o in (plain, other, kept, frozen, asked)]
    assert wanted == [False, True, False, False, True]
    for objective in (other, asked):
        network = objective.networks.at(stream(0, "step", 0, "network"))
        chosen = objective.real_pairs(0)
        one, two, three = (objective.real_side.of(network, chosen, augment=stream(0, "draw", i)) for i in (0, 0, 1))
        assert torch.equal(one["image"], two["image"])
        assert not torch.allclose(one["image"], three["image"])
        assert torch.equal(one["text"], three["text"])


def test_a_rehearsal_computes_no_table(made):
    objective = made({"pool": 2}, rehearse=True)
    table_of = objective.real_side.of(objective.networks.at(stream(0)), torch.arange(60))["image"]
    assert table_of.isfinite().all()
    assert table_of.std() == pytest.approx(1, abs=0.1)


def test_steps_hang_on_seed_and_step_only(made):
    one, two, other = made(), made(), made(seed=1)
    step_of(one, 0)
    found, again = step_of(one, 5), step_of(two, 5)
    close(found[1], again[1], rtol=0, atol=0)
    assert not torch.equal(found[1]["image"], step_of(other, 5)[1]["image"])
    assert one.state() == {}

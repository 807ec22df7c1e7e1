"""Networks drawn for a step: the merge of the snapshots that were drawn, with nothing read twice."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from limbeck.banks import merged_pool
from limbeck.banks.merged import merge
from limbeck.banks.merged_pool import MergedPool
from limbeck.encoders import ConvNet, ProjectionHead, Tower, TwoTower
from limbeck.errors import ConfigError
from limbeck.rng import stream

NET = ConvNet(3, 8, 8, blocks=1, channels=4)
HEAD = ProjectionHead(5, NET.embedding)


class Made:
    """Experts that nobody trained: each snapshot lies somewhere around the start."""

    def __init__(self, towers, experts=3, epochs=4, spread=0.1):
        self.towers, self.experts, self.epochs, self.spread, self.reads = towers, experts, epochs, spread, 0

    def snapshot(self, name, expert, epoch, device="cpu"):
        self.reads += 1
        tower = self.towers.towers[name]
        start = tower.layout.flatten(tower.init(stream(9, name, expert)))
        return (start + self.spread * torch.randn(len(start), generator=stream(8, name, expert, epoch))).to(device)


@pytest.fixture(params=[True, False], ids=["pretrained", "fresh"])
def towers(request):
    start = NET.init(stream(1, "start")) if request.param else None
    return TwoTower({"image": Tower("convnet", NET, start=start), "text": Tower("head", HEAD)})


def pool_of(towers, **changes):
    return MergedPool(towers, Made(towers), **changes)


def literal(pool, draw, **settings):
    """As :func:`merge` does it, from the snapshots as they are."""
    chosen = pool.chosen(draw)
    anchors = pool.towers.init(lambda _: draw)
    return {
        name: merge(
            anchors[name],
            [tower.layout.weights(pool.experts.snapshot(name, *each)) for each in chosen],
            **settings,
        )
        for name, tower in pool.towers.towers.items()
    }


def close(a, b, rtol=1e-5, atol=1e-6):
    for name, weights in a.items():
        assert weights.keys() == b[name].keys()
        for key, w in weights.items():
            torch.testing.assert_close(w, b[name][key], rtol=rtol, atol=atol)


@pytest.mark.parametrize("settings", [{}, {"alpha": 1.0, "clamp": True}, {"alpha": 0.3}])
@pytest.mark.parametrize("count", [2, 3])
def test_a_fresh_network_is_the_merge_of_what_was_drawn(towers, settings, count):
    pool = pool_of(towers, per_merge=count, **settings)
    for step in range(4):
        close(pool.weights(stream(0, step)), literal(pool, stream(0, step), **settings))


def test_half_precision_keeps_differences(towers, monkeypatch):
    monkeypatch.setattr(merged_pool, "HALF_ABOVE", 0)
    pool = pool_of(towers)
    close(pool.weights(stream(0, 1)), literal(pool, stream(0, 1)), rtol=0, atol=1e-3)
    assert all(own.rows.dtype == torch.float16 for own in pool._resident.values())
    exact = pool._resident["text"].layout.flatten(literal(pool, stream(0, 1))["text"])
    assert not torch.equal(pool._resident["text"].layout.flatten(pool.weights(stream(0, 1))["text"]), exact)


def test_nothing_is_read_after_the_first_network(towers):
    pool = pool_of(towers)
    pool.weights(stream(0, 0))
    reads = pool.experts.reads
    for step in range(1, 5):
        pool.weights(stream(0, step))
    assert pool.experts.reads == reads


def test_draws_cover_all_snapshots_but_the_start(towers):
    pool = pool_of(towers)
    seen = Counter()
    for step in range(600):
        one, two = pool.chosen(stream(0, step))
        assert one != two
        seen.update((one, two))
    assert set(seen) == {(m, e) for m in range(3) for e in range(1, 5)}
    assert max(seen.values()) < 2 * min(seen.values())


def test_all_snapshots_can_be_taken(towers):
    pool = MergedPool(towers, Made(towers, experts=2, epochs=2), per_merge=4)
    assert sorted(pool.chosen(stream(0))) == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_a_pool_is_a_few_networks_whoever_asks_first(towers):
    pool, other = (pool_of(towers, pool=3, seed=4) for _ in range(2))
    found = {}
    for step in range(12):
        slot, weights = pool.at(stream(0, step))
        assert found.setdefault(slot, weights) is weights
    assert set(found) == {0, 1, 2}
    for step in reversed(range(12)):
        slot, weights = other.at(stream(0, step))
        close(weights, found[slot], rtol=0, atol=0)
    flat = [torch.cat([w.flatten() for own in weights.values() for w in own.values()]) for weights in found.values()]
    assert not torch.equal(flat[0], flat[1])
    close(found[0], literal(pool, stream(4, "merged pool", 0)))


def test_a_pool_reads_two_snapshots_a_network(towers):
    pool = pool_of(towers, pool=1)
    for step in range(5):
        pool.weights(stream(0, step))
    assert pool.experts.reads == 4  # of two towers


def test_an_expert_is_a_snapshot_of_both_towers(towers):
    pool = pool_of(towers, model="expert")
    (chosen,) = pool.chosen(stream(0, 5))
    for name, weights in pool.weights(stream(0, 5)).items():
        flat = pool.towers.towers[name].layout.flatten(weights)
        torch.testing.assert_close(flat, pool.experts.snapshot(name, *chosen))


def test_naive_lies_between_anchor_and_expert(towers):
    pool = pool_of(towers, model="naive")
    shares = []
    for step in range(40):
        draw = stream(0, step)
        (chosen,) = pool.chosen(draw)
        anchors = towers.init(lambda _, draw=draw: draw)
        found = []
        for name, weights in pool.weights(stream(0, step)).items():
            layout = towers.towers[name].layout
            start, end = layout.flatten(anchors[name]), pool.experts.snapshot(name, *chosen)
            way = end - start
            found.append(float((layout.flatten(weights) - start) @ way / (way @ way)))
            torch.testing.assert_close(layout.flatten(weights), start + found[-1] * way, rtol=1e-4, atol=1e-5)
        assert found[0] == pytest.approx(found[1], abs=1e-4)
        shares.append(found[0])
    assert min(shares) > 0.1 - 1e-4
    assert max(shares) < 0.9 + 1e-4
    assert max(shares) - min(shares) > 0.6


def test_pretrained_needs_no_expert(towers):
    pool = MergedPool(towers, None, model="pretrained")
    draw = stream(0, 7)
    close(pool.weights(stream(0, 7)), towers.init(lambda _: draw), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("made", "changes", "says"),
    [
        ((1, 1), {}, "2 snapshots of experts are wanted, there are 1"),
        ((2, 2), {"per_merge": 5}, "5 snapshots"),
        ((2, 2), {"model": "merge"}, "unknown model"),
    ],
)
def test_refuses(towers, made, changes, says):
    with pytest.raises(ConfigError, match=says):
        MergedPool(towers, Made(towers, *made), **changes)


def test_without_experts_only_the_start():
    towers = TwoTower({"image": Tower("convnet", NET), "text": Tower("head", HEAD)})
    with pytest.raises(ConfigError, match="there are 0"):
        MergedPool(towers, None, model="expert")

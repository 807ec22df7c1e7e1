"""The networks that MDM looks through: merged from experts anew at every step, or a few merged once.

No network is built and no file is read in a step. Fresh merges read all snapshots once into memory; what of them hangs
on snapshots and a constant anchor only, their inner products, is computed once too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from limbeck.banks.merged import ALPHA, grams, merge, ratios
from limbeck.encoders.base import Weights
from limbeck.encoders.tower import Tower, TwoTower
from limbeck.errors import ConfigError, nearest
from limbeck.rng import stream

__all__ = ["LookedThrough", "MergedPool", "Model", "Snapshots", "home"]

Model = Literal["merged", "expert", "naive", "pretrained"]
HALF_ABOVE = 4e9
"""Bytes of one tower's snapshots above which they are kept in half precision, as differences [choice]."""
ROOM = 2
"""Free bytes a GPU must have for each byte kept there."""


class Snapshots(Protocol):
    """Experts of two towers, as :class:`limbeck.banks.pair_experts.PairExperts` keeps them."""

    @property
    def experts(self) -> int:
        """How many."""

    @property
    def epochs(self) -> int:
        """The last epoch; there are snapshots of 0 up to it."""

    def snapshot(self, name: str, expert: int, epoch: int, device: str | torch.device = "cpu") -> Tensor:
        """(P,) float32, the weights of the tower of modality ``name``."""


class LookedThrough(NamedTuple):
    """A network: its weights by modality, and which of the pool it is; None for one that will not come again."""

    slot: int | None
    weights: dict[str, Weights]


class MergedPool:
    """Draws networks for two towers.

    ============  ====================================================================================
    merged        two experts (or more), merged about the anchor tensor by tensor: MDM
    expert        one expert as it is
    naive         r expert + (1 - r) anchor, r uniform in 0.1 to 0.9
    pretrained    the anchor
    ============  ====================================================================================

    The anchor is what the towers start from: a tower's pretrained weights, or fresh random ones for every network
    where it has none, as the papers' text head. Of experts, (expert, epoch) is drawn uniformly from epoch 1 on, no
    snapshot twice.

    Args:
        towers: on ``device``.
        experts: None for "pretrained", which needs none.
        per_merge: experts of a merge.
        alpha, clamp: see :func:`limbeck.banks.merged.merge`.
        pool: 0 draws a network anew each time; K draws one of the same K, each made when it is first drawn.
        seed: of the K.

    Raises:
        ConfigError: an unknown model, fewer snapshots than a merge takes.
    """

    def __init__(
        self,
        towers: TwoTower,
        experts: Snapshots | None,
        *,
        model: Model = "merged",
        per_merge: int = 2,
        alpha: float = ALPHA,
        clamp: bool = False,
        pool: int = 0,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if model not in get_args(Model):
            raise ConfigError(f"unknown model {model!r}", where="method.model", hint=nearest(model, get_args(Model)))
        self.towers, self.experts, self.model = towers, experts, model
        self.count = {"merged": per_merge, "expert": 1, "naive": 1, "pretrained": 0}[model]
        self.alpha, self.clamp, self.pool, self.seed, self.device = alpha, clamp, pool, seed, torch.device(device)
        there = 0 if experts is None else experts.experts * experts.epochs
        if there < self.count:
            raise ConfigError(
                f"{self.count} snapshots of experts are wanted, there are {there}",
                where="method.experts",
                hint="Ask for more experts, or more epochs of each.",
            )
        self._members: dict[int, dict[str, Weights]] = {}
        self._resident: dict[str, _Resident] = {}

    def weights(self, draw: torch.Generator) -> dict[str, Weights]:
        """One network, by modality, on the device; not to be changed."""
        return self.at(draw).weights

    def at(self, draw: torch.Generator) -> LookedThrough:
        """:meth:`weights`, and which of the pool they are. Everything drawn is drawn from ``draw``, on the CPU; which
        K networks a pool has is a function of its seed."""
        if not self.pool:
            return LookedThrough(None, self._made(draw, resident=True))
        slot = int(torch.randint(self.pool, (), generator=draw))
        if slot not in self._members:
            self._members[slot] = self._made(stream(self.seed, "merged pool", slot), resident=False)
        return LookedThrough(slot, self._members[slot])

    def chosen(self, draw: torch.Generator) -> list[tuple[int, int]]:
        """(expert, epoch) of each snapshot a network is made of. Experts are drawn uniformly, then an epoch of those
        that are left [code]."""
        found: list[tuple[int, int]] = []
        while self.experts is not None and len(found) < self.count:
            expert = int(torch.randint(self.experts.experts, (), generator=draw))
            left = [e for e in range(1, self.experts.epochs + 1) if (expert, e) not in found]
            if left:
                found.append((expert, left[int(torch.randint(len(left), (), generator=draw))]))
        return found

    def _made(self, draw: torch.Generator, *, resident: bool) -> dict[str, Weights]:
        chosen = self.chosen(draw)
        anchors = {} if self.model == "expert" else self.towers.init(lambda _: draw)
        if self.model == "pretrained":
            return anchors
        if self.model == "merged" and resident:
            return {name: self._all(name).merged(chosen, anchors[name], self.alpha, self.clamp) for name in anchors}
        found: dict[str, Weights] = {}
        share = 0.1 + 0.8 * float(torch.rand((), generator=draw))  # of "naive" [code]
        for name, tower in self.towers.towers.items():
            own = [tower.layout.weights(self._snapshot(name, *each, resident=resident)) for each in chosen]
            if self.model == "expert":
                found[name] = own[0]
            elif self.model == "naive":
                found[name] = {k: share * w + (1 - share) * anchors[name][k] for k, w in own[0].items()}
            else:
                found[name] = merge(anchors[name], own, alpha=self.alpha, clamp=self.clamp)
        return found

    def _snapshot(self, name: str, expert: int, epoch: int, *, resident: bool) -> Tensor:
        if resident:
            return self._all(name).row(expert, epoch)
        assert self.experts is not None
        return self.experts.snapshot(name, expert, epoch, self.device)

    def _all(self, name: str) -> _Resident:
        if name not in self._resident:
            assert self.experts is not None
            self._resident[name] = _Resident(name, self.towers.towers[name], self.experts, self.device)
        return self._resident[name]


class _Resident:
    """Every snapshot of a tower from epoch 1 on, in memory: differences from where the tower starts, or, where every
    network starts elsewhere, from the first of them."""

    def __init__(self, name: str, tower: Tower, experts: Snapshots, device: torch.device) -> None:
        self.layout, self.epochs, self.device, self.anchored = tower.layout, experts.epochs, device, tower.pretrained
        each = [(m, e) for m in range(experts.experts) for e in range(1, experts.epochs + 1)]
        self.base = (
            self.layout.flatten(tower.start)
            if tower.start is not None
            else experts.snapshot(name, *each[0], device)
        ).to(device)  # fmt: skip
        numbers = len(each) * self.layout.size
        dtype = torch.float16 if 4 * numbers > HALF_ABOVE else torch.float32
        kept = home(device, numbers * dtype.itemsize)
        self.rows = torch.empty(len(each), self.layout.size, dtype=dtype, device=kept)
        for row, (m, e) in zip(self.rows, each, strict=True):
            row.copy_(experts.snapshot(name, m, e, device) - self.base)
        self.sizes = torch.tensor([math.prod(shape) for shape in self.layout.shapes.values()], device=device)
        self.grams = self._grams().to(device) if self.anchored else None

    def _grams(self) -> Tensor:
        """(L, M, M) inner products of displacements, tensor by tensor."""
        nothing = self.layout.weights(torch.zeros(self.layout.size, device=self.rows.device))
        return torch.stack(list(grams(nothing, [self.layout.weights(row) for row in self.rows]).values()))

    def row(self, expert: int, epoch: int) -> Tensor:
        """(P,) float32."""
        return self.base + self.rows[self._at(expert, epoch)].to(self.device, torch.float32)

    def merged(
        self, chosen: list[tuple[int, int]], anchor: Mapping[str, Tensor], alpha: float, clamp: bool
    ) -> dict[str, Tensor]:
        """:func:`merge` of snapshots."""
        if self.grams is None:
            return merge(anchor, [self.layout.weights(self.row(*each)) for each in chosen], alpha=alpha, clamp=clamp)
        at = [self._at(*each) for each in chosen]
        ratio = alpha * ratios(self.grams, torch.tensor(at), clamp=clamp)
        step = ratio.float().repeat_interleave(self.sizes, output_size=self.layout.size)
        mean = torch.stack([self.rows[i].to(self.device, torch.float32) for i in at]).mean(0)
        return self.layout.weights(torch.addcmul(self.base, step, mean))

    def _at(self, expert: int, epoch: int) -> int:
        return expert * self.epochs + epoch - 1


def home(device: torch.device, size: int) -> torch.device:
    """Where ``size`` bytes for ``device`` are kept: there, or on the CPU where that would leave a GPU too little room
    to work with."""
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < ROOM * size:
        return torch.device("cpu")
    return device

"""Class means of embeddings, real and synthetic: DM, AVDD, DAVDD and their kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.engine.eyes import BankEyes, Eyes, RandomEyes
from limbeck.engine.groups import groups
from limbeck.engine.objectives.base import Objective
from limbeck.engine.ranks import Ranks
from limbeck.engine.rehearsal import RehearsalBank, RehearsalDecouplers
from limbeck.engine.statistics import open_cache, shared_cache, statistics_key
from limbeck.engine.views import ClassGroup, Eye, real_means

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["MeanMatching"]


class MeanMatching(Objective):
    """Looks at groups of whole classes through the step's eye; the real side comes from the cache where it is there.

    Args:
        cache: folder of cached real means, None to compute them each step.
        progress: show the training of a bank that is not there yet.
        rehearse: take untrained networks in the place of a bank.
        ranks: each takes groups of its own, of the real side too.
    """

    def __init__(
        self,
        planned: Plan,
        synthetic: SyntheticSet,
        *,
        cache: Path | None = None,
        progress: bool = False,
        rehearse: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(planned, synthetic, ranks)
        with self.ranks.in_turn():
            self.eyes = _eyes(planned, self.classes, progress, rehearse)
        self.encoders = self.eyes.encoders
        self.real_groups = groups(self.classes, self.numerics.real_group)
        self.groups = groups(self.classes, 1 if self.settings.stepping == "per_class" else self.numerics.group)
        self.cache = None
        if cache is not None and self.ranks.first:
            key = statistics_key(self.store, self.eyes, self.settings, self.numerics)
            self.cache = open_cache(cache, key, self.eyes.shapes, self.settings)
        self.kept = shared_cache(self.cache, self.eyes.shapes, self.ranks) if cache is not None else None
        if self.device.type == "cuda":
            self.store.keep_on(self.device, list(synthetic.values))

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        eye = self.eye(step)
        real = self.real(eye)
        for classes in self.ranks.share(self.groups):
            rows = self.rows(classes)
            leaves = self.leaves(rows)
            here = {name: mean[classes.start : classes.stop] for name, mean in real.items()}
            terms = self.method.loss(ClassGroup(self.synthetic, leaves, eye, classes, here))
            torch.stack(list(terms.values())).sum().backward()
            self.collect(leaves, rows)
            yield {name: term.detach() for name, term in terms.items()}

    def eye(self, step: int) -> Eye:
        """The encoders and draws of ``step``."""
        return self.eyes.at(step)

    def real(self, eye: Eye) -> dict[str, Tensor]:
        """By name (C, D): the real side of a step."""

        def compute() -> dict[str, Tensor]:
            own = self.ranks.share(self.real_groups)
            found = real_means(self.store, eye, own, self.settings.real_batch, self.device)
            return self._from_all(found, own) if self.ranks.many else found

        return compute() if self.kept is None else self.kept.means(eye.slot, self.device, compute)

    def _from_all(self, found: dict[str, Tensor], own: Sequence[range]) -> dict[str, Tensor]:
        """By name (C, D), of which each rank has the classes of some groups."""
        mine = [c for classes in own for c in classes]
        every = {name: torch.zeros(shape, device=self.device) for name, shape in self.eyes.shapes.items()}
        for name, means in found.items():
            every[name][mine] = means.float()
        self.ranks.sum_(every.values())
        return every

    @property
    def cache_bytes(self) -> int:
        if self.cache is None:
            return 0
        return int(min(self.settings.cache_limit * 1e9, self.cache.record_bytes * self.eyes.slots))

    def notes(self) -> list[str]:
        if self.cache is None:
            return []
        return [f"real statistics: {self.cache.hits} steps from the cache, {self.cache.misses} computed"]

    def close(self) -> None:
        if self.cache is not None:
            self.cache.close()


def _eyes(planned: Plan, classes: int, progress: bool, rehearse: bool) -> Eyes:
    """The eyes of a plan's method; trains the bank it looks through where it is not there yet."""
    settings, numerics, device = planned.settings, planned.numerics, torch.device(planned.numerics.device)
    needs = planned.method.bank
    encoders = numerics.encoders(planned.modalities, settings.channels)
    if needs is None:
        return RandomEyes(encoders, settings, classes, device)
    if rehearse:
        maps = RehearsalDecouplers(encoders, needs) if needs.decouplers else None
        return BankEyes(RehearsalBank(encoders, needs.members), maps, settings, classes, device)
    from limbeck.banks.decoupler import DecouplerBank
    from limbeck.banks.pretrained import PretrainedBank

    bank = PretrainedBank.build(
        planned.store,
        members=needs.members,
        channels=settings.channels,
        modalities=tuple(planned.modalities),
        device=device,
        kernels=numerics.kernels,
        precision=numerics.precision,
        progress=progress,
    )
    decouplers = None
    if needs.decouplers:
        decouplers = DecouplerBank.build(
            planned.store,
            bank,
            per_member=needs.decouplers,
            kind=needs.mapping,
            hidden=needs.hidden,
            device=device,
            progress=progress,
        )
    return BankEyes(bank, decouplers, settings, classes, device)

"""Where a few inner steps on synthetic pairs lead two towers, and where experts went on real ones: MTT-VL, TESLA with
weighted BCE, LoRS."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from limbeck.banks.pair_experts import PAIR_EXPERT_RECIPE, PairExperts
from limbeck.encoders.tower import TwoTower
from limbeck.engine.lift import CHUNK, lifted, lowered
from limbeck.engine.objectives.base import Objective
from limbeck.engine.objectives.learnt_similarity import LearntSimilarity
from limbeck.engine.objectives.step_sizes import StepSizes
from limbeck.engine.objectives.trajectories import Reached
from limbeck.engine.paired import paired
from limbeck.engine.unroll import Inner, Unrolled, swept, tesla, unrolled
from limbeck.rng import stream
from limbeck.synthetic.similarity import Factors

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["PairTrajectories"]


class PairTrajectories(Objective):
    """Each step draws an expert and a start epoch, takes N inner steps of SGD on batches of the set, and compares where
    they lead both towers with the expert's weights some epochs later.

    The towers are trained by one loss, so both are stepped together, each with a step size of its own. Where a tower
    has a frozen part, inner steps look at what it makes of the pairs, computed once a step
    (:mod:`limbeck.engine.lift`). Networks use literal kernels in fp32 whatever the run's: they are differentiated
    twice.

    Args:
        progress: show the making of towers and the training of experts that are not there yet.
        rehearse: take untrained networks for both.
    """

    def __init__(
        self, planned: Plan, synthetic: SyntheticSet, *, progress: bool = False, rehearse: bool = False
    ) -> None:
        super().__init__(planned, synthetic)
        method: Any = planned.method  # has the settings of PairTrajectoryMethod
        own = paired(planned, progress=progress, rehearse=rehearse)
        self.bank = PairExperts.build(
            own.pairs,
            own.towers,
            experts=method.experts,
            epochs=method.max_start_epoch - 1 + method.expert_epochs,
            recipe=dataclasses.replace(PAIR_EXPERT_RECIPE, rates=method.expert_rate, batch=method.expert_batch),
            half=self.settings.cache_dtype == "fp16",
            device=self.device,
            progress=progress,
            rehearse=rehearse,
        )
        literal = dataclasses.replace(planned.numerics, kernels="literal", precision="fp32")
        if literal != planned.numerics:
            twins = paired(dataclasses.replace(planned, numerics=literal, made={}), rehearse=True).towers
            self.towers = _with_values_of(own.towers, twins).to(self.device).towers
        else:
            self.towers = own.towers.towers
        self.chunk = self.settings.group or CHUNK
        momentum = self.settings.momentum
        self._steps = StepSizes(
            dict.fromkeys(self.towers, method.step_size),
            rate=method.step_size_rate, momentum=momentum, device=self.device,
        )  # fmt: skip
        self._similarity = None
        if method.learns_similarity:
            first = Factors.identity(len(synthetic), method.rank, stream(self.settings.seed, "similarity"))
            self._similarity = LearntSimilarity(
                synthetic, Factors(*(x.to(next(iter(synthetic.values.values())).detach()) for x in first)),
                alpha=method.alpha, rate=method.similarity_rate, momentum=momentum,
            )  # fmt: skip

    @property
    def step_sizes(self) -> dict[str, Tensor]:
        """By modality, scalars."""
        return self._steps.sizes

    @property
    def items_per_step(self) -> int:
        method: Any = self.method
        return int(method.inner_steps * min(method.inner_batch, len(self.synthetic)))

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        rows, found, terms = self.match(step)
        for (name, tower), gradient in zip(self.towers.items(), found.inputs, strict=False):
            value = self.synthetic.values[name]
            assert value.grad is not None
            value.grad[rows] += lowered(tower, value.detach()[rows], gradient, chunk=self.chunk)
        self._steps.slopes = dict(zip(self.towers, found.rates, strict=True))
        if self._similarity is not None:
            slopes = Factors(*(torch.zeros_like(x) for x in self._similarity.factors))
            for whole, part in zip(slopes, found.inputs[len(self.towers) :], strict=True):
                whole[rows] = part
            self._similarity.slopes = slopes
        yield terms

    def match(self, step: int) -> tuple[Tensor, Unrolled, dict[str, Tensor]]:
        """The pairs that inner steps look at, (n,) without repeats; the gradient by what the towers' frozen parts make
        of them, then by their rows of the similarity; and the loss terms."""
        start, target = self.drawn(step)
        batches, terms = self.batches(step), {}
        rows, place = torch.cat(batches).unique(return_inverse=True)
        rows, places = rows.to(self.device), place.to(self.device).split([len(b) for b in batches])
        inputs = [
            lifted(tower, self.synthetic.values[name].detach()[rows], chunk=self.chunk)
            for name, tower in self.towers.items()
        ]
        if self._similarity is not None:
            inputs += self._similarity.factors.rows(rows)

        def seen(reached: tuple[Tensor, ...]) -> Reached:
            return Reached(start, target, dict(zip(self.towers, reached, strict=True)))

        def outer(reached: tuple[Tensor, ...]) -> Tensor:
            found = self.method.loss(seen(reached))
            terms.update({term: value.detach() for term, value in found.items()})
            return torch.stack(list(found.values())).sum()

        def of_rates(reached: tuple[Tensor, ...]) -> Tensor:
            return torch.stack(list(method.of_step_sizes(seen(reached)).values())).sum()

        method: Any = self.method
        ways: dict[str, Callable[..., Unrolled]] = {
            "exact": swept,
            "unroll": unrolled,
            "tesla": partial(tesla, of_rates=of_rates if method.merged_normaliser else None),
        }
        through = ways[method.gradient]
        found = through(
            self._inner(step), outer, list(start.values()), list(self.step_sizes.values()), inputs, places,
            where=f"step {step}",
        )  # fmt: skip
        return rows, found, terms

    def drawn(self, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(P,) start and target of each tower at ``step``."""
        method: Any = self.method
        generator = stream(self.settings.seed, "step", step, "expert")
        expert = int(torch.randint(method.experts, (), generator=generator))
        epochs = torch.randint(method.max_start_epoch, (len(self.towers),), generator=generator).tolist()
        if not method.independent_starts:
            epochs = [epochs[0]] * len(epochs)
        start, target = (
            {
                name: self.bank.snapshot(name, expert, epoch + more, self.device)
                for name, epoch in zip(self.towers, epochs, strict=True)
            }
            for more in (0, method.expert_epochs)
        )
        return start, target

    def batches(self, step: int) -> list[Tensor]:
        """Of the inner steps, (m,) int64 on the CPU: the pairs in random order, batch after batch, and anew in another
        order when fewer than a batch are left; or each batch drawn by itself."""
        method: Any = self.method
        pairs, chosen = len(self.synthetic), []
        size = min(method.inner_batch, pairs)
        left: list[Tensor] = []
        for i in range(method.inner_steps):
            if not left or method.fresh_batches:
                order = torch.randperm(pairs, generator=stream(self.settings.seed, "step", step, "batches", i))
                left = [part for part in order.split(size) if len(part) == size]
            chosen.append(left.pop(0))
        return chosen

    def _inner(self, step: int) -> Inner:
        method: Any = self.method
        layouts = {name: tower.layout for name, tower in self.towers.items()}

        def loss(i: int, parameters: tuple[Tensor, ...], items: tuple[Tensor, ...]) -> Tensor:
            embedded = []
            for name, vector, x in zip(self.towers, parameters, items, strict=False):
                draw = stream(self.settings.seed, "step", step, "dropout", name, i) if method.dropout else None
                embedded.append(self.towers[name].embed(layouts[name].weights(vector), x, draw))
            factors = Factors(*items[len(embedded) :]) if method.learns_similarity else None
            found: Tensor = method.inner_loss(*embedded, factors)
            return found

        return loss

    def propose(self) -> dict[str, Tensor]:
        return self._steps.propose() | (self._similarity.propose() if self._similarity else {})

    def accept(self, proposed: Mapping[str, Tensor]) -> None:
        self._steps.accept(proposed)
        if self._similarity is not None:
            self._similarity.accept(proposed)

    def state(self) -> dict[str, Tensor]:
        return self._steps.state() | (self._similarity.state() if self._similarity else {})

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if self._similarity is not None:
            self._similarity.restore(state)
        of_similarity = self._similarity.state() if self._similarity else {}
        self._steps.restore({name: x for name, x in state.items() if name not in of_similarity})

    def learnt(self) -> dict[str, Any]:
        method: Any = self.method
        return {**self._steps.learnt(), "loss": method.student_loss, "temperature": method.temperature}


def _with_values_of(towers: TwoTower, twins: TwoTower) -> TwoTower:
    """The networks of ``twins`` on what the experts' own towers stand on: values that are made in another precision
    would be others."""
    return TwoTower({
        name: dataclasses.replace(twin, constants=towers.towers[name].constants, start=towers.towers[name].start)
        for name, twin in twins.towers.items()
    })  # fmt: skip

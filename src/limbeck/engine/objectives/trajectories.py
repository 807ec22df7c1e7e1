"""Where a few inner steps on the set lead, and where an expert went on real items: MTT."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.augment import DSA, Draw
from limbeck.banks.experts import EXPERT_RECIPE, ExpertBank
from limbeck.engine.objectives.base import Objective
from limbeck.engine.objectives.step_sizes import StepSizes
from limbeck.engine.ranks import Ranks
from limbeck.engine.unroll import Inner, Unrolled, swept, unrolled
from limbeck.rng import stream
from limbeck.synthetic.factor import decode
from limbeck.training import Student

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["Batch", "Reached", "TrajectoryMatching"]


@dataclass(frozen=True)
class Reached:
    """What a method sees of a modality at one step: (P,) parameters by modality."""

    start: Mapping[str, Tensor]
    target: Mapping[str, Tensor]
    reached: Mapping[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """The decoded items an inner step sees.

    Args:
        rows: (r,) stored items they come from, without repeats.
        place: (b,) where among ``rows`` each item's is.
        cell: (b,) which of its l*l cells.
        labels: (b,).
        draw: of DSA, for each item; None for none.
    """

    rows: Tensor
    place: Tensor
    cell: Tensor
    labels: Tensor
    draw: Draw | None


class TrajectoryMatching(Objective):
    """Each step draws for every modality an expert and a start epoch, takes N inner steps of SGD on batches of the
    decoded set, and compares where they lead with the expert's weights some epochs later.

    The branches of a student share nothing, so modalities go one after the other: memory is that of one. Networks use
    literal kernels in fp32 whatever the run's: they are differentiated twice.

    Step sizes are learnt with the run's momentum (:class:`~limbeck.engine.objectives.step_sizes.StepSizes`).

    Args:
        progress: show the training of experts that are not there yet.
        rehearse: take untrained networks for experts.
        ranks: each takes modalities of its own.
    """

    def __init__(
        self,
        planned: Plan,
        synthetic: SyntheticSet,
        *,
        progress: bool = False,
        rehearse: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(planned, synthetic, ranks)
        settings = self.settings
        method: Any = planned.method  # has MTT's settings
        self.modalities = planned.modalities
        self.augment = DSA(tuple(settings.augment.split("_"))) if settings.augment else None
        literal = dataclasses.replace(self.numerics, kernels="literal", precision="fp32")
        self.students = {
            name: Student({name: encoder}, {name: self.modalities[name]}, self.classes)
            for name, encoder in literal.encoders(self.modalities, settings.channels).items()
        }
        with self.ranks.in_turn():
            self.bank = ExpertBank.build(
                self.store,
                experts=method.experts,
                epochs=method.max_start_epoch - 1 + method.expert_epochs,
                channels=settings.channels,
                modalities=tuple(self.modalities),
                recipe=dataclasses.replace(
                    EXPERT_RECIPE, rate=method.expert_rate, batch=method.expert_batch,
                    augment=self.augment.families if self.augment else (),
                ),
                device=self.device,
                kernels=self.numerics.kernels,
                precision=self.numerics.precision,
                progress=progress,
                rehearse=rehearse,
            )  # fmt: skip
        assert synthetic.labels is not None
        self._labels = synthetic.labels.to(self.device)
        self._steps = StepSizes(
            {name: method.first_step_size(m) for name, m in self.modalities.items()},
            rate=method.step_size_rate, momentum=settings.momentum, device=self.device,
        )  # fmt: skip

    @property
    def items_per_step(self) -> int:
        method: Any = self.method
        decoded = super().items_per_step
        seen = [method.steps(m) * min(method.batch(m), decoded) for m in self.modalities.values()]
        return int(max(seen))

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        terms: dict[str, Tensor] = {}
        self._steps.slopes = {name: torch.zeros_like(size) for name, size in self.step_sizes.items()}
        for name in self.ranks.share(list(self.synthetic.values)):
            found, own = self.match(step, name)
            total = self.synthetic.values[name].grad
            assert total is not None
            total += found.inputs[0]
            self._steps.slopes[name] = found.rates[0].to(self._steps.slopes[name])
            terms |= own
        self.ranks.sum_(self._steps.slopes.values())
        yield terms

    def match(self, step: int, name: str) -> tuple[Unrolled, dict[str, Tensor]]:
        """The gradient and the loss terms of one modality at ``step``."""
        start, target = self.drawn(step, name)
        batches, terms = self.batches(step, name), {}

        def outer(reached: tuple[Tensor, ...]) -> Tensor:
            found = self.method.loss(Reached({name: start}, {name: target}, {name: reached[0]}))
            terms.update({term: value.detach() for term, value in found.items()})
            return torch.stack(list(found.values())).sum()

        method: Any = self.method
        through = swept if method.gradient == "exact" else unrolled
        found = through(
            self._inner(name, batches), outer, [start], [self.step_sizes[name]], [self.synthetic.values[name]],
            [batch.rows for batch in batches], where=f"step {step}, {name}",
        )  # fmt: skip
        return found, terms

    def drawn(self, step: int, name: str) -> tuple[Tensor, Tensor]:
        """(P,) start and target of a modality at ``step``."""
        method: Any = self.method
        generator = stream(self.settings.seed, "step", step, "expert", name)
        expert = int(torch.randint(method.experts, (), generator=generator))
        epoch = int(torch.randint(method.max_start_epoch, (), generator=generator))
        start, target = (
            self.bank.snapshot(name, expert, e, self.device) for e in (epoch, epoch + method.expert_epochs)
        )
        return start, target

    def batches(self, step: int, name: str) -> list[Batch]:
        """Of the inner steps: the decoded items in random order, batch after batch, and anew in another order when they
        are used up; the last batch of a round may be smaller [code]."""
        method: Any = self.method
        modality, seed = self.modalities[name], self.settings.seed
        stored = len(self.synthetic)
        decoded, batches = stored * self.synthetic.factor**2, []
        chunks: list[Tensor] = []
        for i in range(method.steps(modality)):
            if not chunks:
                order = torch.randperm(decoded, generator=stream(seed, "step", step, "batches", name, i))
                chunks = list(order.split(method.batch(modality)))
            chosen = chunks.pop(0)
            rows, place = (chosen % stored).unique(return_inverse=True)
            draw = None
            if self.augment is not None and modality.spatial:
                draw = self.augment.draw_items(stream(seed, "step", step, "dsa", name, i), len(chosen))
            rows, place, cell = (x.to(self.device) for x in (rows, place, chosen // stored))
            batches.append(Batch(rows, place, cell, self._labels[rows[place]], draw))
        return batches

    def _inner(self, name: str, batches: list[Batch]) -> Inner:
        student, layout, factor = self.students[name], self.bank.layout(name), self.synthetic.factor

        def loss(i: int, parameters: tuple[Tensor, ...], items: tuple[Tensor, ...]) -> Tensor:
            batch = batches[i]
            x = decode(items[0], factor)[batch.cell, batch.place]
            if batch.draw is not None and self.augment is not None:
                x = self.augment(x, batch.draw)
            weights = {f"{name}/{key}": w for key, w in layout.weights(parameters[0]).items()}
            return F.cross_entropy(student.logits(weights, {name: x})[name], batch.labels)

        return loss

    @property
    def step_sizes(self) -> dict[str, Tensor]:
        """By modality, scalars."""
        return self._steps.sizes

    def propose(self) -> dict[str, Tensor]:
        return self._steps.propose()

    def accept(self, proposed: Mapping[str, Tensor]) -> None:
        self._steps.accept(proposed)

    def state(self) -> dict[str, Tensor]:
        return self._steps.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._steps.restore(state)

    def learnt(self) -> dict[str, Any]:
        return self._steps.learnt()

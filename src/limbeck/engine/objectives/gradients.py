"""Gradients of a network that is trained on the set between steps, on real and on synthetic items: DC and DSA."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.augment import DSA, Draw
from limbeck.banks.evolving import EvolvingBank, Networks
from limbeck.engine.objectives.base import Objective
from limbeck.engine.ranks import Ranks
from limbeck.errors import ResumeError
from limbeck.losses.gradients import matched
from limbeck.rng import stream
from limbeck.synthetic.factor import decode
from limbeck.training import Recipe, Student

if TYPE_CHECKING:
    from limbeck.encoders.base import Weights
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["ClassGradients", "GradientMatching"]

CHUNK = 128
"""Real items a forward, so that memory does not grow with the real set."""


@dataclass(frozen=True)
class ClassGradients:
    """What a method sees of one class: gradients of the mean cross entropy of its items, by modality and by parameter
    name. Parameters of two dimensions or more are there, the head's weight among them: what a distance looks at.

    Args:
        real: (O, \\*rest), without graph.
        synthetic: the same, with a graph back to the items.
    """

    real: Mapping[str, Weights]
    synthetic: Mapping[str, Weights]


class GradientMatching(Objective):
    """A step is one update of the set: step t looks through the network begun at t - t % outer, which before each
    later step of its round is trained on the set as it then stands.

    Classes are looked at one by one: what a step keeps in memory is the graph of one class, however many there are.
    Real gradients and the training use the run's kernels and precision. Synthetic gradients are differentiated once
    more and use literal kernels in fp32.
    """

    def __init__(self, planned: Plan, synthetic: SyntheticSet, ranks: Ranks | None = None) -> None:
        super().__init__(planned, synthetic, ranks)
        settings, modalities = self.settings, planned.modalities
        method: Any = planned.method  # has DC's settings
        self.outer: int = method.outer
        self.augment = DSA(tuple(settings.augment.split("_"))) if settings.augment else None
        self.recipe = Recipe(
            epochs=method.inner, batch=method.inner_batch, rate=method.inner_rate, optimiser="sgd", momentum=0.0,
            weight_decay=0.0, drops=(), augment=self.augment.families if self.augment else (),
        )  # fmt: skip
        self.bank = EvolvingBank(
            self.numerics.encoders(modalities, settings.channels), modalities, self.classes, settings.seed,
            shared_seeds=settings.streams == "authors",
        )  # fmt: skip
        twice = dataclasses.replace(self.numerics, kernels="literal", precision="fp32")
        self.literal = {
            name: Student({name: encoder}, {name: modalities[name]}, self.classes)
            for name, encoder in twice.encoders(modalities, settings.channels).items()
        }
        self._used: Networks | None = None
        """The networks of the step before, in the middle of a round."""
        self._now: Networks = {}
        if self.device.type == "cuda":
            self.store.keep_on(self.device, list(synthetic.values))

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        self._now = self.networks(step)
        for c in self.ranks.share(range(self.classes)):
            yield self._part(step, c)

    def networks(self, step: int) -> Networks:
        """The networks of ``step``: fresh at the start of a round, else those of the step before, trained on the set.

        Training waits until here, so that a network that diverges stops the step before the set is touched, and
        no network is trained that nobody looks through.

        Raises:
            NumericsError: it diverged; ResumeError: there is no network of the step before.
        """
        if step % self.outer == 0:
            return self.bank.fresh(step, self.device)
        if self._used is None:
            raise ResumeError(
                f"step {step} goes on with the network of step {step - 1}, which is not there", hint="Start a new run."
            )
        with torch.no_grad():
            items, labels = self.synthetic.decode()
        assert labels is not None
        own = {name: self._used[name] for name in self.ranks.share(list(self._used))}
        found = self.bank.trained(own, items, labels, self.recipe, step)
        return self._from_all(found, self._used) if self.ranks.many else found

    def _from_all(self, found: Networks, before: Networks) -> Networks:
        """All networks, each of which one rank has trained."""
        every = {
            name: found.get(name) or {key: torch.zeros_like(w) for key, w in weights.items()}
            for name, weights in before.items()
        }
        self.ranks.sum_(w for weights in every.values() for w in weights.values())
        return every

    def advance(self, step: int) -> None:
        last = (step + 1) % self.outer == 0
        self._used, self._now = None if last else self._now, {}

    def state(self) -> dict[str, Tensor]:
        return {name: w for network in (self._used or {}).values() for name, w in network.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._used = self.bank.restored(state, self.device) if state else None

    def _part(self, step: int, c: int) -> dict[str, Tensor]:
        """Loss terms of one class, their gradient added to the set's; the graph ends with the call."""
        draw, rows = self._draw(step, c), self.rows(range(c, c + 1))
        leaves = self.leaves(rows)
        terms = self.method.loss(ClassGradients(self._real(step, c, draw), self._synthetic(leaves, c, draw)))
        # to the items alone: the weights are leaves too
        torch.stack(list(terms.values())).sum().backward(inputs=list(leaves.values()))
        self.collect(leaves, rows)
        return {name: term.detach() for name, term in terms.items()}

    def _draw(self, step: int, c: int) -> Draw | None:
        """The Siamese draw of a class, the same for real and synthetic items and for all modalities."""
        if self.augment is None:
            return None
        seed, name = self.bank.names(step)
        return self.augment.draw(stream(seed, *name, "dsa", *(() if self.settings.dsa_sharing == "step" else (c,))))

    def _real(self, step: int, c: int, draw: Draw | None) -> dict[str, Weights]:
        rows = torch.tensor(self.store.rows("train", c))
        if self.settings.real_statistics == "batch":
            seed, name = self.bank.names(step)
            order = torch.randperm(len(rows), generator=stream(seed, *name, "real", c))
            rows = rows[order[: self.settings.real_batch]]
        found: dict[str, Weights] = {}
        for modality, student in self.bank.students.items():
            for part in rows.split(CHUNK):
                items, share = self.store.batch(modality, part, self.device), len(part) / len(rows)
                for key, g in self._gradients(student, modality, items, c, draw).items():
                    total = found.setdefault(modality, {})
                    total[key] = total[key] + share * g if key in total else share * g
        return found

    def _synthetic(self, leaves: Mapping[str, Tensor], c: int, draw: Draw | None) -> dict[str, Weights]:
        found = {}
        for modality, student in self.literal.items():
            items = decode(leaves[modality], self.synthetic.factor).flatten(0, 1)
            found[modality] = self._gradients(student, modality, items, c, draw, graph=True)
        return found

    def _gradients(
        self, student: Student, modality: str, items: Tensor, c: int, draw: Draw | None, *, graph: bool = False
    ) -> Weights:
        """By name the gradients of the cross entropy of (N, \\*shape) items of class ``c``."""
        if draw is not None and self.augment is not None and student.modalities[modality].spatial:
            items = self.augment(items, draw)
        weights = self._now[modality]
        leaves = {name: weights[name].detach().requires_grad_() for name in matched(weights)}
        logits = student.logits({**weights, **leaves}, {modality: items})[modality]
        loss = F.cross_entropy(logits, torch.full((len(items),), c, device=self.device))
        found = torch.autograd.grad(loss, list(leaves.values()), create_graph=graph)
        return student.branch(dict(zip(leaves, found, strict=True)), modality)

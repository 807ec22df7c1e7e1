"""The one loop: the only place that steps a synthetic set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.engine.guards import check_finite
from limbeck.engine.metrics import Metrics
from limbeck.engine.objectives import objective_for
from limbeck.engine.optimiser import Optimiser
from limbeck.engine.plan import Plan, pixel_rates
from limbeck.engine.ranks import Ranks
from limbeck.errors import MemoryLimitError, ResumeError

if TYPE_CHECKING:
    from limbeck.synthetic import SyntheticSet

__all__ = ["Loop"]


class Loop:
    """Steps ``synthetic`` in place.

    Args:
        planned: method, settings, numerics and real set.
        synthetic: by class, classes in order, equal numbers of items; moved to the device.
        cache: folder of cached real statistics, or None to compute them each step.
        progress: show what comes before the first step, such as the training of a bank.
        rehearse: take untrained networks in the place of trained ones: to measure a step, not to take it.
        ranks: that take the steps together, each on a set of its own that stays equal to the others'.
    """

    def __init__(
        self,
        planned: Plan,
        synthetic: SyntheticSet,
        cache: Path | None = None,
        *,
        progress: bool = False,
        rehearse: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks.alone()
        self.settings, self.synthetic = planned.settings, synthetic
        self.device = torch.device(planned.numerics.device)
        synthetic.values = {name: value.to(self.device).requires_grad_() for name, value in synthetic.values.items()}
        with self.ranks.in_turn():
            self.rates = pixel_rates(planned, rehearse=rehearse)
        self.optimiser = Optimiser(synthetic.values, self.rates, planned.settings)
        self.objective = objective_for(
            planned, synthetic, cache=cache, progress=progress, rehearse=rehearse, ranks=self.ranks
        )
        self._names: list[str] = []
        self.step = 0

    def run(self, steps: int) -> Iterator[Metrics]:
        """Yield after each step, up to ``steps`` in all: everything is consistent between two of them."""
        while self.step < steps:
            try:
                terms = self._step()
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                    raise  # on a CPU torch has no kind of its own for this
                raise MemoryLimitError(
                    f"step {self.step} does not fit the memory of {self.device} ({error})",
                    hint="Start a new run with a lower --group and --real-group, or in --precision bf16.",
                ) from error
            self.step += 1
            yield Metrics(self.step, terms)

    def momenta(self) -> dict[str, Tensor]:
        """Per modality the optimiser's first moment; zeros before the first step."""
        return self.optimiser.momenta()

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides set and momenta."""
        return {**self.objective.state(), **self.optimiser.state()}

    def restore(
        self, step: int, values: dict[str, Tensor], momenta: dict[str, Tensor], state: dict[str, Tensor] | None = None
    ) -> None:
        """Go on after ``step`` steps. Raises ResumeError where the tensors are not this set's."""
        for name, value in self.synthetic.values.items():
            for found in (values.get(name), momenta.get(name)):
                if found is None or found.shape != value.shape:
                    raise ResumeError(f"the checkpoint's {name} does not fit the set", hint="Start a new run.")
        self.step = step
        for name, value in self.synthetic.values.items():
            value.data.copy_(values[name])
        self.objective.restore(self.optimiser.restore(step, momenta, state or {}))

    def close(self) -> None:
        """Gives back files."""
        self.objective.close()

    def _step(self) -> dict[str, float]:
        terms: dict[str, Tensor] = {}
        self._clear()
        for found in self.objective.parts(self.step):
            for name, term in found.items():
                terms[name] = terms[name] + term if name in terms else term
            if self.settings.stepping == "per_class":  # AVDD's code: each class moves the momentum of all
                self._update(found)
                self._clear()
        terms = self._of_all(terms)
        values = (
            self._update(terms)
            if self.settings.stepping == "step"
            else {name: float(term) for name, term in terms.items()}
        )
        self.objective.advance(self.step)
        return values

    def _of_all(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms of all ranks; makes the set's gradient theirs, too."""
        if not self.ranks.many:
            return terms
        if not self._names:  # a rank may have looked at nothing
            self._names = list(dict.fromkeys(name for names in self.ranks.every(list(terms)) for name in names))
        slopes = [value.grad for value in self.synthetic.values.values() if value.grad is not None]
        nothing = torch.zeros((), device=self.device)
        found = torch.stack([terms.get(name, nothing).to(slopes[0]) for name in self._names])
        self.ranks.sum_([*slopes, found])
        return dict(zip(self._names, found, strict=True))

    def _clear(self) -> None:
        for value in self.synthetic.values.values():
            if value.grad is None:
                value.grad = torch.zeros_like(value)
            else:
                value.grad.zero_()

    def _update(self, terms: dict[str, Tensor]) -> dict[str, float]:
        if self.settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.synthetic.values.values(), self.settings.clip)
        learned = self.objective.propose()
        values = check_finite(self.step, terms, {**self.optimiser.proposed(), **learned})
        self.optimiser.step()
        self.objective.accept(learned)
        return values

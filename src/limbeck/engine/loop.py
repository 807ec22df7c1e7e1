"""The one loop: the only place that steps a synthetic set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.augment import DSA
from limbeck.banks.random import RandomBank
from limbeck.engine.groups import groups
from limbeck.engine.guards import check_finite
from limbeck.engine.metrics import Metrics
from limbeck.engine.plan import Plan, pixel_rate
from limbeck.engine.statistics import StatisticsCache
from limbeck.engine.views import ClassGroup, Eye, real_means, step_eye
from limbeck.errors import MemoryLimitError, ResumeError

if TYPE_CHECKING:
    from limbeck.synthetic import SyntheticSet

__all__ = ["Loop"]


class Loop:
    """Steps ``synthetic`` in place.

    Args:
        planned: method, settings, numerics and real set.
        synthetic: by class, classes in order, equal numbers of items; moved to the device.
        cache: of real means, or None to compute them each step.
    """

    def __init__(self, planned: Plan, synthetic: SyntheticSet, cache: StatisticsCache | None) -> None:
        settings, numerics, store = planned.settings, planned.numerics, planned.store
        self.method, self.settings, self.store = planned.method, settings, store
        self.synthetic, self.cache = synthetic, cache
        self.device = torch.device(numerics.device)
        self.encoders = numerics.encoders(synthetic.modalities, settings.channels)
        self.augment = DSA(tuple(settings.augment.split("_"))) if settings.augment else None
        self.bank = RandomBank(self.encoders, settings.seed, shared_seeds=settings.streams == "authors")
        self.classes = len(synthetic.classes)
        self.per_class = len(synthetic) // self.classes
        self.real_groups = groups(self.classes, numerics.real_group)
        self.groups = groups(self.classes, 1 if settings.stepping == "per_class" else numerics.group)
        synthetic.values = {name: value.to(self.device).requires_grad_() for name, value in synthetic.values.items()}
        self.rate = pixel_rate(settings, planned.method, next(iter(self.encoders.values())).embedding)
        self.optimiser = torch.optim.SGD(list(synthetic.values.values()), lr=self.rate, momentum=settings.momentum)
        self._clear()
        self.step = 0
        if self.device.type == "cuda":
            store.keep_on(self.device, list(synthetic.values))

    @property
    def items_per_step(self) -> int:
        """Decoded synthetic items a step looks at."""
        return len(self.synthetic) * self.synthetic.factor**2

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
        """Per modality SGD's buffer; zeros before the first step."""
        state = self.optimiser.state
        return {name: state[v].get("momentum_buffer", torch.zeros_like(v)) for name, v in self.synthetic.values.items()}

    def restore(self, step: int, values: dict[str, Tensor], momenta: dict[str, Tensor]) -> None:
        """Go on after ``step`` steps. Raises ResumeError where the tensors are not this set's."""
        for name, value in self.synthetic.values.items():
            for found in (values.get(name), momenta.get(name)):
                if found is None or found.shape != value.shape:
                    raise ResumeError(f"the checkpoint's {name} does not fit the set", hint="Start a new run.")
        self.step = step
        for name, value in self.synthetic.values.items():
            value.data.copy_(values[name])
            if step:
                self.optimiser.state[value]["momentum_buffer"] = momenta[name].to(self.device)

    def eye(self) -> Eye:
        """The encoders and draws of the current step."""
        return step_eye(self.bank, self.step, self.augment, self.settings.dsa_sharing, self.classes, self.device)

    def real(self, eye: Eye) -> dict[str, Tensor]:
        """The real side of the current step, from the cache where it is there."""
        compute: Callable[[], dict[str, Tensor]] = lambda: real_means(  # noqa: E731
            self.store, eye, self.real_groups, self.settings, self.bank.names(self.step), self.device
        )
        return compute() if self.cache is None else self.cache.means(self.step, self.device, compute)

    def _step(self) -> dict[str, float]:
        eye = self.eye()
        real = self.real(eye)
        terms: dict[str, Tensor] = {}
        for classes in self.groups:
            found = self._accumulate(eye, classes, real)
            for name, term in found.items():
                terms[name] = terms[name] + term.detach() if name in terms else term.detach()
            if self.settings.stepping == "per_class":  # AVDD's code: each class moves the momentum of all
                self._update(found)
                self._clear()
        if self.settings.stepping == "step":
            return self._update(terms)
        return {name: float(term) for name, term in terms.items()}

    def _accumulate(self, eye: Eye, classes: range, real: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss terms of some classes, their gradient left in the set's. Each group is a leaf of its own, so that its
        backward pass costs its own size and not the set's."""
        rows = slice(classes.start * self.per_class, classes.stop * self.per_class)
        stored = {name: value.detach()[rows].requires_grad_() for name, value in self.synthetic.values.items()}
        real_here = {name: mean[classes.start : classes.stop] for name, mean in real.items()}
        terms = self.method.loss(ClassGroup(self.synthetic, stored, eye, classes, real_here))
        torch.stack(list(terms.values())).sum().backward()
        for name, value in self.synthetic.values.items():
            gradient = stored[name].grad
            assert value.grad is not None
            value.grad[rows] = 0 if gradient is None else gradient
        return terms

    def _clear(self) -> None:
        for value in self.synthetic.values.values():
            value.grad = torch.zeros_like(value)

    def _update(self, terms: dict[str, Tensor]) -> dict[str, float]:
        momenta = self.momenta()
        with torch.no_grad():
            updates = {
                name: v - self.rate * (self.settings.momentum * momenta[name] + v.grad)
                for name, v in self.synthetic.values.items()
                if v.grad is not None
            }
        values = check_finite(self.step, terms, updates)
        self.optimiser.step()
        return values

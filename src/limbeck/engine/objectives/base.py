"""What a step minimises: leaves its gradient in the set's values; the loop steps them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from limbeck.engine.ranks import Ranks
from limbeck.errors import ResumeError

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["Objective"]


class Objective(ABC):
    """One way of looking at the set. A method's loss says what is compared, an objective shows it both sides.

    Every draw is a function of the run's seed and the step, so that a step can be taken again.

    Args:
        planned: method, settings, numerics and real set.
        synthetic: its values are leaves on the device, each with a ``grad`` of zeros when a step begins; by class the
            classes are in order, with equal numbers of items.
        ranks: that share its work. Each adds to the set's gradient and to the terms what it has looked at, and the
            loop sums them.
    """

    def __init__(self, planned: Plan, synthetic: SyntheticSet, ranks: Ranks | None = None) -> None:
        self.ranks = ranks or Ranks.alone()
        self.method, self.settings, self.numerics = planned.method, planned.settings, planned.numerics
        self.store, self.synthetic = planned.store, synthetic
        self.device = torch.device(planned.numerics.device)
        self.classes = len(synthetic.classes)
        self.per_class = len(synthetic) // max(1, self.classes)

    @abstractmethod
    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        """Loss terms of one group of classes after another (or of the whole set at once), detached: of this rank's.

        The gradient of a part is added to ``synthetic.values[...].grad`` before the part is yielded. With the setting
        ``stepping="per_class"`` the loop updates the set between two parts.
        """

    @property
    def items_per_step(self) -> int:
        """Decoded synthetic items a step looks at."""
        return len(self.synthetic) * self.synthetic.factor**2

    @property
    def cache_bytes(self) -> int:
        """What its cached statistics take on disk, once the run is done."""
        return 0

    def propose(self) -> dict[str, Tensor]:
        """New values of what is learnt beside the set, by name: computed after the parts, checked with the step."""
        return {}

    def accept(self, proposed: Mapping[str, Tensor]) -> None:
        """Takes what :meth:`propose` gave: all of it was finite, and the set has just been stepped."""
        del proposed

    def advance(self, step: int) -> None:
        """What follows the update of the set in ``step``, such as training an evolving network on it."""
        del step

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides the set, its momenta and the step."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what :meth:`state` gave. Raises ResumeError where it is another's."""
        if state:
            raise ResumeError(f"the checkpoint holds {', '.join(state)}, which {self.method.name} does not keep")

    def learnt(self) -> dict[str, Any]:
        """What travels with the set besides its items, such as learnt learning rates; JSON-ready."""
        return {}

    def notes(self) -> list[str]:
        """What the run's log says at the end."""
        return []

    def close(self) -> None:  # noqa: B027 -- most have none
        """Gives back files."""

    def rows(self, classes: range) -> slice:
        """Where the items of some classes are in the set's values."""
        return slice(classes.start * self.per_class, classes.stop * self.per_class)

    def leaves(self, rows: slice) -> dict[str, Tensor]:
        """Per modality the (n, *shape) values of some items as leaves of a graph of their own, so that the backward
        pass costs its own size and not the set's; what is fixed asks for no gradient."""
        fixed = self.settings.fixed
        return {n: value.detach()[rows].requires_grad_(n not in fixed) for n, value in self.synthetic.values.items()}

    def collect(self, leaves: Mapping[str, Tensor], rows: slice) -> None:
        """Adds the leaves' gradients to the set's."""
        for name, leaf in leaves.items():
            total = self.synthetic.values[name].grad
            assert total is not None
            if leaf.grad is not None:
                total[rows] += leaf.grad

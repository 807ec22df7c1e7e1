"""Where a step's eye comes from: fresh random networks, or a pair of a frozen bank."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from limbeck.augment import DSA, Draw
from limbeck.banks.random import RandomBank
from limbeck.engine.views import COMMON, Eye
from limbeck.rng import Name, stream

if TYPE_CHECKING:
    from limbeck.banks.decoupler import DecouplerBank
    from limbeck.banks.pretrained import PretrainedBank
    from limbeck.encoders.base import Encoder
    from limbeck.engine.rehearsal import RehearsalBank, RehearsalDecouplers
    from limbeck.engine.settings import RunSettings

__all__ = ["BankEyes", "Eyes", "RandomEyes", "group_draws"]


class Eyes(ABC):
    """Gives each step its eye, a function of the run's seed and the step alone, never of budget or weights.

    Args:
        encoders: by modality.
        classes: C.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], settings: RunSettings, classes: int, device: torch.device
    ) -> None:
        self.encoders, self.settings, self.classes, self.device = dict(encoders), settings, classes, device
        self.augment = DSA(tuple(settings.augment.split("_"))) if settings.augment else None
        self.whole = settings.real_statistics == "class"

    @abstractmethod
    def at(self, step: int) -> Eye:
        """The eye of ``step``."""

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """By name (C, D) of the means it sees."""
        return {name: (self.classes, e.embedding) for name, e in self.encoders.items()}

    @property
    def slots(self) -> int:
        """How many different real means a run sees at most."""
        return self.settings.steps

    @property
    def key(self) -> dict[str, Any]:
        """What its means depend on besides data, encoders and the settings of the run that every eye depends on."""
        return {}

    def _draws(self, seed: int, *name: Name) -> dict[int, Draw]:
        return group_draws(self.augment, self.settings.dsa_sharing, self.classes, seed, *name)


def group_draws(augment: DSA | None, sharing: str, groups: int, seed: int, *name: Name) -> dict[int, Draw]:
    """A draw for each group of items, or under ``sharing`` "step" the same for all; none without ``augment``."""
    if augment is None:
        return {}
    if sharing == "step":
        return dict.fromkeys(range(groups), augment.draw(stream(seed, *name, "dsa")))
    return {c: augment.draw(stream(seed, *name, "dsa", c)) for c in range(groups)}


class RandomEyes(Eyes):
    """A fresh random encoder a modality and step."""

    def __init__(
        self, encoders: Mapping[str, Encoder], settings: RunSettings, classes: int, device: torch.device
    ) -> None:
        super().__init__(encoders, settings, classes, device)
        self.bank = RandomBank(encoders, settings.seed, shared_seeds=settings.streams == "authors")

    def at(self, step: int) -> Eye:
        seed, name = self.bank.names(step)
        weights = self.bank.weights(step, self.device)
        sample = None if self.whole else (seed, name)
        return Eye(self.encoders, weights, self.augment, self._draws(seed, *name), sample, step)

    @property
    def key(self) -> dict[str, Any]:
        return {"seed": self.settings.seed, "streams": self.settings.streams}


class BankEyes(Eyes):
    """A pair of a bank that is drawn a step, and one of its decouplers, shared by all classes [choice, DAVDD].

    With the setting ``real_statistics="class"`` a pair has ``draws`` sets of DSA parameters, the same for every run on
    the bank, so that its real means are computed once for all of them.
    """

    def __init__(
        self,
        bank: PretrainedBank | RehearsalBank,
        decouplers: DecouplerBank | RehearsalDecouplers | None,
        settings: RunSettings,
        classes: int,
        device: torch.device,
    ) -> None:
        super().__init__(bank.encoders, settings, classes, device)
        self.bank, self.decouplers = bank, decouplers
        self.kinds = settings.draws if self.augment is not None else 1

    def at(self, step: int) -> Eye:
        seed, name = self.settings.seed, ("step", step)
        generator = stream(seed, *name, "bank")
        per_member = self.decouplers.per_member if self.decouplers else 1
        member, which, kind = (
            int(torch.randint(n, (), generator=generator)) for n in (self.bank.members, per_member, self.kinds)
        )
        if self.whole:
            draws = self._draws(0, "bank", member, kind)
            slot = (member * per_member + which) * self.kinds + kind
        else:
            draws, slot = self._draws(seed, *name), step
        weights = self.bank.weights(member, self.device)
        sample = None if self.whole else (seed, name)
        return Eye(self.encoders, weights, self.augment, draws, sample, slot, self._project(member, which))

    def _project(self, member: int, which: int) -> Any:
        if self.decouplers is None:
            return None
        bank, weights = self.decouplers, self.decouplers.weights(member, which, self.device)

        def project(modality: str, embedded: Tensor) -> Tensor:
            return bank.project(weights[modality], embedded)

        return project

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        shapes = super().shapes
        return shapes if self.decouplers is None else shapes | {n + COMMON: shape for n, shape in shapes.items()}

    @property
    def slots(self) -> int:
        per_member = self.decouplers.per_member if self.decouplers else 1
        return self.bank.members * per_member * self.kinds if self.whole else self.settings.steps

    @property
    def key(self) -> dict[str, Any]:
        # neither id says how many there are, and a decoupler is drawn from as many as the run has
        per_member = self.decouplers.per_member if self.decouplers else 1
        bank = {
            "bank": self.bank.id,
            "decouplers": self.decouplers.id if self.decouplers else None,
            "per_member": per_member,
        }
        if self.whole:  # slots count decouplers and draws; a longer bank goes on where a shorter one ends
            return {**bank, "draws": self.kinds}
        return {**bank, "seed": self.settings.seed, "members": self.bank.members}

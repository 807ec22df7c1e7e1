"""What a method is: its settings, what it needs, and its loss."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias

from limbeck.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from limbeck.losses.grouped import Grouped
    from limbeck.modalities import Modality
    from limbeck.synthetic import Budget

__all__ = ["REGISTRY", "Bank", "Group", "Method", "Objective", "RowGroup", "Spectrum"]

REGISTRY: dict[str, type[Method]] = {}
BUDGETS = {"class": "--per-class", "pairs": "--pairs", "bytes": "--bytes"}
Objective: TypeAlias = Literal["means", "embeddings", "gradients", "trajectories", "pairs", "pair_trajectories"]


class Group(Protocol):
    """Some whole classes at one step, seen through the step's encoders; K classes, D embedding width."""

    @property
    def real(self) -> Mapping[str, Tensor]:
        """Per modality (K, D): class means of the real embeddings, without gradient."""

    @property
    def synthetic(self) -> Mapping[str, Tensor]:
        """Per modality (K, D): class means of the synthetic embeddings, with gradient."""

    @property
    def real_common(self) -> Mapping[str, Tensor]:
        """The same of common representations; empty where the method's bank has no decouplers."""

    @property
    def synthetic_common(self) -> Mapping[str, Tensor]:
        """The same of common representations, with gradient."""


class RowGroup(Group, Protocol):
    """The same, and each item's embedding."""

    @property
    def real_rows(self) -> Grouped:
        """Real embeddings, class after class, without gradient; row i of every modality is of item i."""

    @property
    def synthetic_rows(self) -> Grouped:
        """Synthetic embeddings, with gradient."""

    def frequencies(self, width: int) -> Tensor:
        """(F, ``width``), the same for all that asks at a step; see :class:`Spectrum`."""

    def draws(self, name: str) -> list[torch.Generator]:
        """By class a stream of the step's and the class's own, whichever classes are seen with it."""


@dataclass(frozen=True)
class Spectrum:
    """The frequencies at which characteristic functions are compared.

    Args:
        count: F.
        sampling: "fresh" draws N(0, scale^2) each step, "fixed" once for the run, "network" trains a small network on
            the way that makes those at which real and synthetic differ most.
        scale: of the frequencies.
    """

    count: int
    sampling: Literal["fresh", "fixed", "network"] = "fresh"
    scale: float = 1.0


@dataclass(frozen=True)
class Bank:
    """Networks trained on the real set that steps look through.

    Args:
        members: encoder pairs.
        decouplers: of each pair; 0 for none.
        mapping: of a decoupler.
        hidden: its inner width.
    """

    members: int
    decouplers: int
    mapping: Literal["mlp", "linear"] = "mlp"
    hidden: int = 512


@dataclass(frozen=True)
class Method:
    """A way to make a synthetic set. The fields of a subclass are its settings (``--method.NAME``).

    A method never touches files, devices or loops: the engine asks it for named loss terms, one group of classes at a
    time.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    kind: ClassVar[str] = "distillation"
    """"coreset" (chooses real items), "distillation", or "control" (there to be compared with)."""
    objective: ClassVar[Objective] = "means"
    """What its loss compares: which of ``limbeck.engine.objectives`` shows it both sides."""
    by: ClassVar[tuple[str, ...]] = ("class",)
    """The budgets it takes: "class", "pairs", "bytes"."""
    modalities: ClassVar[tuple[int, int | None]] = (1, None)
    """Fewest and most modalities."""
    across: ClassVar[tuple[str, ...]] = ()
    """Its settings that are weights of terms between modalities."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Run settings in which it differs from the engine's, each with its source."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            REGISTRY[cls.name] = cls

    @classmethod
    def published(cls, budget: Budget) -> Mapping[str, Any]:
        """Run settings of the paper that hang on the budget or on the size of the media: presets go over them."""
        del budget
        return {}

    @classmethod
    def stored_pairs(cls, pairs: int) -> int:
        """How many pairs a budget of ``pairs`` holds, where what is learnt beside them counts too (LoRS)."""
        return pairs

    @property
    def selection_options(self) -> Mapping[str, Any]:
        """Settings of its own that its choice of real items takes (coresets)."""
        return {}

    def for_budget(self, budget: Budget) -> Self:
        """The method with settings that follow from the budget filled in."""
        del budget
        return self

    @property
    def bank(self) -> Bank | None:
        """The trained bank its steps look through, None for fresh random networks."""
        return None

    @property
    def spectrum(self) -> Spectrum | None:
        """The frequencies its loss asks for, None where it asks for none."""
        return None

    def crosses(self, modalities: int) -> bool:
        """Whether its loss compares modalities with each other, whose embeddings then need one width."""
        return modalities > 1 and any(getattr(self, weight, 0) for weight in self.across)

    def rate_multiple(self, modality: Modality) -> float:
        """What the rate of a modality's values is multiplied by."""
        del modality
        return 1.0

    def loss(self, group: Any) -> dict[str, Tensor]:
        """Named loss terms, summed over what is seen (:class:`Group` and its kin); their sum is what is minimised."""
        raise NotImplementedError(f"{self.name} takes no steps")

    def check(self, modalities: Mapping[str, Modality], budget: Budget) -> None:
        """Raises ConfigError where the method cannot work on these modalities or by this budget."""
        fewest, most = self.modalities
        if len(modalities) < fewest or (most is not None and len(modalities) > most):
            wanted = f"{fewest} or more" if most is None else f"{fewest} to {most}" if most > fewest else str(fewest)
            raise ConfigError(
                f"{self.name} needs {wanted} modalities, this set has {len(modalities)} ({', '.join(modalities)})",
                hint="`limbeck methods` says what each method needs.",
            )
        by = "class" if budget.per_class is not None else budget.kind
        if by not in self.by:
            asked = " or ".join(BUDGETS[known] for known in self.by)
            raise ConfigError(f"{self.name} takes no budget by {by}", hint=f"Say how much with {asked}.")

    @classmethod
    def card(cls) -> dict[str, Any]:
        """What ``limbeck methods`` prints."""
        return {
            "name": cls.name,
            "title": cls.title,
            "kind": cls.kind,
            "by": list(cls.by),
            "modalities": list(cls.modalities),
            "paper": cls.paper,
            "description": inspect.getdoc(cls) or "",
        }

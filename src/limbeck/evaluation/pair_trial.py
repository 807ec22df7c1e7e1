"""One scoring by pairs: its students, what they are trained on, and the real pairs they are asked for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from limbeck.banks.towers import build_towers
from limbeck.data.caption_embeddings import default_captions
from limbeck.data.pairs import Pairs
from limbeck.encoders import Kernels, Precision
from limbeck.encoders.tower import TwoTower
from limbeck.encoders.towers import tower_kind
from limbeck.errors import ConfigError, NumericsError, ShapeError
from limbeck.evaluation.gallery import Gallery
from limbeck.evaluation.linear_towers import known_below, linear_towers
from limbeck.evaluation.protocols import SELECTIONS, Protocol
from limbeck.evaluation.protocols import protocol as named_protocol
from limbeck.evaluation.study import refuse_repeats
from limbeck.training.pair_data import Lifted, PairData, RealPairs, SyntheticPairs
from limbeck.training.pairs import PairRecipe, Similarity

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.modalities import Modality
    from limbeck.synthetic import SyntheticSet

__all__ = ["PairTrial", "as_published", "pair_rules", "require_towers", "two_modalities"]


@dataclass(frozen=True)
class PairTrial:
    """Students of some towers and seeds, trained on ``synthetic`` or, where it is None, on the store's whole training
    split.

    Args:
        protocol: one by pairs.
        students: names of towers (``limbeck.encoders.towers``); under linear heads of encoders that stand still, too
            (``limbeck.encoders.frozen``).
        seeds: one student of each tower for each; their streams share nothing with a distillation's.
        modalities: two of the set's; by default its own two.
        captions: the frozen encoder of real captions; another than the set's must have its width.
        towers_of: by student, ``width`` and ``pretrained`` of :func:`limbeck.banks.towers.build_towers`.
        channels: width of ConvNets.
        as_published: train with what the set has learnt: similarity, step sizes, and the loss they go with.
        select: "last" epoch; the epoch that the "validation" split likes best; or "test-oracle", the scored items.
        split: whose items are asked for.

    Raises:
        ConfigError: unknown protocol, student, modality, split or selection; no seed; a seed or student twice; a tower
            that the protocol cannot train; whole data where it adds real pairs; not two modalities; a set whose items
            are not the store's.
        ShapeError: captions of another width. DataError: an empty split.
        MissingDependencyError: weights of a tower or of the captions' encoder are not there.
    """

    synthetic: SyntheticSet | None
    store: PairedStore
    protocol: str = "retrieval-mdm"
    students: Sequence[str] = ("convnet",)
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    modalities: Sequence[str] | None = None
    captions: str | None = None
    towers_of: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    channels: int = 128
    as_published: bool = False
    select: str = "last"
    device: str | torch.device = "cpu"
    kernels: Kernels = "literal"
    precision: Precision = "fp32"
    split: str = "test"
    progress: bool = False
    spent: list[float] = field(default_factory=list, init=False, compare=False)
    """Seconds of training, part by part as they are done."""

    def __post_init__(self) -> None:
        if not self.seeds or not self.students:
            raise ConfigError("a score needs at least one seed and one student", where="--seeds")
        refuse_repeats("--seeds", self.seeds)
        refuse_repeats("--students", self.students)
        if self.select not in SELECTIONS:
            raise ConfigError(
                f"unknown selection {self.select!r}", where="--select", hint=f"It is one of {', '.join(SELECTIONS)}."
            )
        if self.select == "validation" and self.split == "validation":
            raise ConfigError(
                "the validation split cannot both choose and be scored", where="--select", hint="Use --select last."
            )
        if self.select == "test-oracle" and self.split != "test":
            raise ConfigError(f"test-oracle is of the test split, not {self.split}", where="--select")
        if self.recipe.replay and self.synthetic is None:
            raise ConfigError(
                f"{self.protocol} adds real pairs to a set's, and here is no set", where="--protocol",
                hint="Use retrieval-linear-heads for whole data.",
            )  # fmt: skip
        for name in self.students:
            if self.rules.linear is not None:
                known_below(name)
            elif not tower_kind(name).learns and not self.rules.frozen:
                raise ConfigError(
                    f"{self.protocol} trains towers, and {name} stands still", where="--students",
                    hint="Use --protocol retrieval-frozen-heads, or another student.",
                )  # fmt: skip

    @cached_property
    def rules(self) -> Protocol:
        return pair_rules(self.protocol)

    @property
    def recipe(self) -> PairRecipe:
        """The protocol's."""
        assert isinstance(self.rules.recipe, PairRecipe)
        return self.rules.recipe

    @cached_property
    def train_pairs(self) -> Pairs:
        """The real training pairs: what pretrained towers are made from, and what whole data is."""
        return self._real("train")

    @cached_property
    def towers(self) -> dict[str, TwoTower]:
        """By student, untrained."""
        return {name: self._built(name) for name in self.students}

    @cached_property
    def data(self) -> PairData:
        """What students are trained on."""
        if self.synthetic is None:
            return RealPairs(self.train_pairs, self.device)
        return SyntheticPairs(two_modalities(self.synthetic, self.train_pairs.modalities), self.device)

    @cached_property
    def training(self) -> tuple[PairRecipe, Similarity | None]:
        """The recipe, and what it holds pairs to be."""
        if self.synthetic is None or not self.as_published:
            return self.recipe, None
        names = list(self.train_pairs.modalities)
        return as_published(self.recipe, self.synthetic, names, self.device, self.rules.one_rate)

    @property
    def told(self) -> dict[str, Any]:
        """Settings that give the score its meaning, JSON-ready."""
        recipe, similarity = self.training
        return {
            "modalities": list(self.train_pairs.modalities),
            "captions": self.captions if self.train_pairs.captions is not None else None,
            "channels": self.channels,
            "towers": {name: {**self.towers_of.get(name, {}), "id": t.id} for name, t in self.towers.items()},
            "rates": recipe.to_dict()["rates"],
            "loss": recipe.loss,
            **({"temperature": recipe.temperature} if recipe.temperature != self.recipe.temperature else {}),
            "similarity": similarity is not None,
            **({"real_pairs": len(self.train_pairs)} if self.recipe.replay else {}),
            "device": str(self.device),
            "kernels": self.kernels,
            "precision": self.precision,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Without which a reader takes the score for something else."""
        if not self.recipe.replay:
            return ()
        return (f"Trained on real data: half of each batch is of the {len(self.train_pairs)} real training pairs.",)

    def replayed(self, student: str) -> PairData | None:
        """The real pairs that its batches have beside those of the set; frozen parts are passed once for all seeds."""
        if not self.recipe.replay:
            return None
        return Lifted(RealPairs(self.train_pairs, self.device), self.towers[student], progress=self.progress)

    def galleries(self, split: str) -> dict[str, Gallery]:
        """By student the real pairs of ``split``."""
        pairs = self._real(split)
        return {name: Gallery(pairs, towers, self.device) for name, towers in self.towers.items()}

    def seen_through(self, student: str) -> PairData:
        """What it is trained on; frozen parts are passed once for all seeds."""
        towers, (recipe, _) = self.towers[student], self.training
        if recipe.augment != "none":
            return self.data
        return Lifted(self.data, towers, progress=self.progress and self.synthetic is None)

    def _real(self, split: str) -> Pairs:
        """Pairs of the store, normalised as the set is."""
        names = list(self.synthetic.modalities) if self.synthetic is not None else None
        found = Pairs.of(
            self.store, split, modalities=self.modalities or names,
            captions=self.captions or default_captions(self.store),
            device=self.device, progress=self.progress,
        )  # fmt: skip
        if self.synthetic is None:
            return found
        return found.seen_as(_read_by(found, self.synthetic.modalities, self.captions))

    def _built(self, student: str) -> TwoTower:
        told = {k: v for k, v in self.towers_of.get(student, {}).items() if k in ("width", "pretrained")}
        machine: dict[str, Any] = {
            "channels": self.channels, "kernels": self.kernels, "precision": self.precision, "device": self.device,
            "progress": self.progress,
        }  # fmt: skip
        if self.rules.linear is not None:
            told["width"] = told.get("width") or self.rules.linear
            return linear_towers(self.train_pairs, student, **told, **machine)
        towers = build_towers(self.train_pairs, tower=student, frozen=self.rules.frozen, **told, **machine)
        require_towers(self.rules, towers)
        return towers


def pair_rules(name: str) -> Protocol:
    """The protocol by pairs called ``name``. Raises ConfigError where it is none."""
    rules = named_protocol(name)
    if rules.task != "pairs":
        raise ConfigError(
            f"{name} does not train students on pairs", where="--protocol", hint="Use one whose name is retrieval-..."
        )
    return rules


def require_towers(rules: Protocol, towers: TwoTower) -> None:
    """Raises ConfigError where a protocol trains the first tower and it stands still, or the other way round.

    Linear heads stand on vectors as on frozen towers.
    """
    first = next(iter(towers.towers.values()))
    if rules.linear is not None and first.frozen is None and len(first.trained.input_shape) == 1:
        return  # vectors stand still by themselves
    if rules.frozen != (first.frozen is not None):
        raise ConfigError(
            f"{rules.name} {'keeps its tower as it is' if rules.frozen else 'trains its tower'}, "
            f"{first.name} here {'learns' if rules.frozen else 'stands still'}",
            where="--protocol",
        )


def as_published(
    recipe: PairRecipe,
    synthetic: SyntheticSet,
    modalities: Sequence[str],
    device: str | torch.device,
    one_rate: bool = False,
) -> tuple[PairRecipe, Callable[[torch.Tensor], torch.Tensor] | None]:
    """``recipe`` with the learnt step sizes, the loss and the temperature that a set carries, and its similarity; what
    it does not carry stays the recipe's.

    Args:
        one_rate: both towers learn at the first one's step size.

    Raises NumericsError where a learnt step size is no rate.
    """
    sizes, alike = synthetic.provenance.get("step_sizes"), synthetic.similarity
    if isinstance(sizes, Mapping) and set(modalities) <= set(sizes):
        rates = {name: sizes[modalities[0] if one_rate else name] for name in modalities}
        if not all(isinstance(rate, int | float) and 0 < rate < math.inf for rate in rates.values()):
            raise NumericsError(f"the set's step sizes are {rates}", where="--as-published", hint="Leave it out.")
        recipe = dataclasses.replace(recipe, rates=rates)
    loss = synthetic.provenance.get("loss", "weighted_bce" if alike is not None else recipe.loss)
    temperature = synthetic.provenance.get("temperature", recipe.temperature)
    recipe = dataclasses.replace(recipe, loss=loss, temperature=temperature)
    return recipe, None if alike is None else alike.to(device).rows


def two_modalities(synthetic: SyntheticSet, modalities: Mapping[str, Modality]) -> SyntheticSet:
    """The set with two modalities alone, in the order of the pairs."""
    return dataclasses.replace(
        synthetic,
        modalities={name: synthetic.modalities[name] for name in modalities},
        values={name: synthetic.values[name] for name in modalities},
    )


def _read_by(pairs: Pairs, own: Mapping[str, Modality], captions: str | None) -> dict[str, Modality]:
    """The set's modalities, its captions' encoder being that of ``pairs``: a student reads vectors that another one
    made, where they are as wide. Raises ShapeError where they are not."""
    second, real = pairs.second, pairs.modalities[pairs.second]
    wanted = dict(own)
    if pairs.captions is None or second not in own or own[second].kind != real.kind:
        return wanted
    if own[second].shape != real.shape:
        raise ShapeError(
            f"the set's captions are vectors of {own[second].shape[0]} numbers, {captions} makes {real.shape[0]}",
            where="--captions",
            hint="Students read captions of another encoder only where it makes vectors of the same width.",
        )
    return wanted | {second: real.with_statistics(own[second].mean, own[second].std)}

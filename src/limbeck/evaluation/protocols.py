"""Named, versioned ways of scoring a synthetic set. A score always carries the name and version it was made under."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from limbeck.errors import ConfigError, nearest
from limbeck.training import Recipe
from limbeck.training.pairs import PairRecipe

__all__ = ["PROTOCOLS", "SCORED_EVERY", "SELECTIONS", "Protocol", "protocol"]

SCORED_EVERY = 10
"""Epochs between two looks at a student where a split chooses its epoch; the last epoch is looked at, too."""
SELECTIONS = {
    "last": "last epoch",
    "validation": f"best on the validation split, every {SCORED_EVERY} epochs",
    "test-oracle": f"test-oracle: best on the test split itself, every {SCORED_EVERY} epochs",
}
"""Which network of a training by pairs is scored: ``--select`` and what results say of it."""


@dataclass(frozen=True)
class Protocol:
    """What a score means.

    Args:
        version: counts changes that move scores.
        task: what is asked of students; "pairs" trains two towers on pairs and asks each for the other's.
        selection: which network of a training is scored.
        fusion: how the modalities' outputs become one prediction; "arcface" is one classifier for both (retrieval);
            of no meaning for pairs.
        frozen: encoders stand still and heads on them learn; of pairs, below the first tower's head.
        linear: of pairs: linear heads of this width stand on both towers, or on vectors as they are; None for the
            towers' own.
        one_rate: of pairs, as published: both towers learn at the first one's step size.
        recipe: how students are trained.
        source: where the numbers come from.
    """

    name: str
    version: int
    description: str
    source: str
    task: Literal["recognition", "retrieval", "pairs"] = "recognition"
    selection: str = "last epoch"
    fusion: str = "ensemble"
    frozen: bool = False
    linear: int | None = None
    one_rate: bool = False
    recipe: Recipe | PairRecipe = field(default_factory=Recipe)

    @property
    def replays(self) -> bool:
        """Whether real pairs are among what students are trained on."""
        return isinstance(self.recipe, PairRecipe) and self.recipe.replay

    def card(self) -> dict[str, Any]:
        """JSON-ready, for ``limbeck protocols``."""
        return {
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "source": self.source,
            "task": self.task,
            "selection": self.selection,
            **({} if self.task == "pairs" else {"fusion": self.fusion}),
            **({"frozen": self.frozen} if self.task == "pairs" or self.frozen else {}),
            **({} if self.linear is None else {"linear": self.linear}),
            "recipe": self.recipe.to_dict(),
        }


SCRATCH = Recipe(epochs=200, rate=1e-2, optimiser="sgd", momentum=0.5, drops=())
"""Rate and epochs [choice], by the validation split of the set "rooms", once: docs/imagebind.md"""
LINEAR_HEADS = PairRecipe(
    epochs=100, batch=16, rates=1e-3, optimiser="adam", momentum=0.0, weight_decay=1e-4, dropout=False
)
"""ImageBindDC on Clotho [probable code]"""

PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(
            name="recognition-avdd",
            version=1,
            description="Accuracy of students trained from scratch, each modality alone and fused; AVDD as published: "
            "30 epochs of Adam, every rate a tenth after 10 and after 20 epochs, heads at 1e-4 "
            "(x 6272 / D for students of another width D), DSA.",
            source="AVDD, paper (docs/audio_visual.md)",
            recipe=Recipe(head_rate=1e-4, drops=(10, 20)),
        ),
        Protocol(
            name="recognition-avdd-code",
            version=1,
            description="The same as AVDD's released code runs it: heads at 1e-3, and each rate falls one epoch later "
            "(11, 10 and 9 epochs).",
            source="AVDD, code (evaluate_synset_av)",
            recipe=Recipe(head_rate=1e-3, head_rule="plain", drops=(11, 21)),
        ),
        Protocol(
            name="recognition-frozen-heads",
            version=1,
            description="Linear heads on encoders that stand still, each modality alone and fused: 30 epochs of Adam "
            "at 1e-3, a tenth after 10 and after 20 epochs, batches of 32, DSA. --students names the encoder; the "
            "set's own by default. Real items are embedded once, the whole split without augmentation.",
            source="ImageBindDC, probable code (docs/imagebind.md)",
            frozen=True,
            recipe=Recipe(rate=1e-3, drops=(10, 20)),
        ),
        Protocol(
            name="recognition-scratch",
            version=1,
            description="Students trained from scratch, each modality alone and fused: SGD with momentum 0.5, encoders "
            "and heads at one rate, 1e-2 [choice: at the printed 1e-3 small sets teach too little], 200 epochs "
            "[choice], batches of 32, DSA.",
            source="ImageBindDC, paper: optimiser and one rate for all (docs/imagebind.md)",
            recipe=SCRATCH,
        ),
        Protocol(
            name="retrieval-class",
            version=1,
            description="One modality asks, the other is ranked by cosine, an item of the same class is a hit: R@1, "
            "R@5 and MedR both ways on five items a class. Students of two modalities share one classifier under "
            "ArcFace (s 3, m 0.2) and take turns within each batch; else as recognition-avdd.",
            source="AVDD, paper, whose code for it is not public (docs/audio_visual.md)",
            task="retrieval",
            fusion="arcface",
            recipe=Recipe(head_rate=1e-4, drops=(10, 20)),
        ),
        Protocol(
            name="retrieval-vld",
            version=1,
            description="IR@K and TR@K of two towers trained on pairs as MTT-VL scores its sets: 51 epochs of SGD at "
            "a constant rate, batches of 64, InfoNCE, no augmentation. The rate is the learnt one's start, 0.1; "
            "--as-published takes the one that the set has learnt for pictures, for both towers.",
            source="MTT-VL (VL-Distill), code (docs/image_text.md)",
            task="pairs",
            one_rate=True,
            recipe=PairRecipe(epochs=51, batch=64, rates=0.1),
        ),
        Protocol(
            name="retrieval-lors",
            version=1,
            description="The same as LoRS scores its sets: 101 epochs, a tenth of the rate from epoch 51, batches of "
            "128 that are random subsets, weighted cross entropy; the similarity is the identity and the rate 0.1 "
            "but for --as-published. LoRS prints the best of its test scores: --select test-oracle.",
            source="LoRS, code (docs/image_text.md)",
            task="pairs",
            recipe=PairRecipe(epochs=101, batch=128, rates=0.1, drops=(51,), loss="weighted_bce", batches="subsets"),
        ),
        Protocol(
            name="retrieval-mdm",
            version=1,
            description="The same as MDM scores its sets, and every method for which no other is named: 100 epochs, a "
            "tenth of the rate 0.1 from epoch 51, batches of 64, InfoNCE, DSA on pictures.",
            source="MDM, code (docs/image_text.md)",
            task="pairs",
            recipe=PairRecipe(epochs=100, batch=64, rates=0.1, drops=(51,), augment="dsa"),
        ),
        Protocol(
            name="retrieval-frozen-heads",
            version=1,
            description="The first tower stands still and a head on it learns beside the other's: 100 epochs, a tenth "
            "of the rate 0.1 from epoch 50, batches of 64, InfoNCE, no augmentation. Features of real items are "
            "computed once, so that a score takes seconds.",
            source="ours, after RepBlend's frozen tower with two heads (docs/image_text.md)",
            task="pairs",
            frozen=True,
            recipe=PairRecipe(epochs=100, batch=64, rates=0.1, drops=(50,)),
        ),
        Protocol(
            name="retrieval-linear-heads",
            version=1,
            description="Two linear heads to 512 numbers on vectors as they are, or on encoders that stand still: 100 "
            "epochs of Adam at 1e-3, batches of 16, InfoNCE at temperature 0.07, on synthetic pairs alone.",
            source="ImageBindDC, probable code without its real pairs (docs/imagebind.md)",
            task="pairs",
            frozen=True,
            linear=512,
            recipe=LINEAR_HEADS,
        ),
        Protocol(
            name="retrieval-linear-heads-mixed",
            version=1,
            description="The same, TRAINED ON REAL DATA: each batch of 16 is 8 pairs of the set and as many real ones "
            "of the train split, drawn anew. A score of both together, not of the set.",
            source="ImageBindDC, probable code (docs/imagebind.md)",
            task="pairs",
            frozen=True,
            linear=512,
            recipe=dataclasses.replace(LINEAR_HEADS, replay=True),
        ),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol called ``name``. Raises ConfigError with the nearest known one."""
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {name!r}", where="--protocol", hint=nearest(name, PROTOCOLS))
    return PROTOCOLS[name]

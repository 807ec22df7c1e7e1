"""Named, versioned ways of scoring a synthetic set. A score always carries the name and version it was made under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from limbeck.errors import ConfigError, nearest
from limbeck.training import Recipe

__all__ = ["PROTOCOLS", "Protocol", "protocol"]


@dataclass(frozen=True)
class Protocol:
    """What a score means.

    Args:
        version: counts changes that move scores.
        task: what is asked of students.
        selection: which network of a training is scored.
        fusion: how the modalities' outputs become one prediction; "arcface" is one classifier for both (retrieval).
        recipe: how students are trained.
        source: where the numbers come from.
    """

    name: str
    version: int
    description: str
    source: str
    task: Literal["recognition", "retrieval"] = "recognition"
    selection: str = "last epoch"
    fusion: str = "ensemble"
    recipe: Recipe = field(default_factory=Recipe)

    def card(self) -> dict[str, Any]:
        """JSON-ready, for ``limbeck protocols``."""
        return {
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "source": self.source,
            "task": self.task,
            "selection": self.selection,
            "fusion": self.fusion,
            "recipe": self.recipe.to_dict(),
        }


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
    )
}


def protocol(name: str) -> Protocol:
    """The protocol called ``name``. Raises ConfigError with the nearest known one."""
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {name!r}", where="--protocol", hint=nearest(name, PROTOCOLS))
    return PROTOCOLS[name]

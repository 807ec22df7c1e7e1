"""The encoders that stand still while a set is distilled, by the names users say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from limbeck.errors import ConfigError, nearest
from limbeck.modalities import Modality

__all__ = ["FROZEN", "NOT_COMMERCIAL", "FrozenKind", "check_reads", "frozen_kind"]

NOT_COMMERCIAL = "weights: CC-BY-NC 4.0 (README) or CC-BY-NC-SA 4.0 (licence file), not for commercial use"
"""Of the published ImageBind weights [spec: section 3.7]."""
EVERYTHING = ("image", "depth", "audio")
OWN = "the package's own"


@dataclass(frozen=True)
class FrozenKind:
    """What a name means. Vectors go through every kind as they are, but for "aligned".

    Args:
        description: one line.
        licence: of its weights.
        reads: kinds of spatial modality that it has a part for.
        fitted: whether it is made from the real training items; else from published weights, or none.
    """

    name: str
    description: str
    licence: str
    reads: tuple[str, ...]
    fitted: bool = False

    @property
    def imagebind(self) -> bool:
        """Whether it is of that architecture, of any size."""
        return self.name.startswith("imagebind")


FROZEN: dict[str, FrozenKind] = {
    kind.name: kind
    for kind in (
        FrozenKind("identity", "vectors as they are", OWN, ()),
        FrozenKind("patches", "responses to patches of the train split", OWN, EVERYTHING, fitted=True),
        FrozenKind(
            "aligned", "patches, then linear maps into one space, trained by contrast on the train split",
            OWN, EVERYTHING, fitted=True,
        ),
        FrozenKind("imagebind", "ImageBind as published", NOT_COMMERCIAL, EVERYTHING),
        FrozenKind("imagebind-base", "ImageBind's architecture at the size of a base model; random weights", OWN,
                   EVERYTHING),
        FrozenKind("imagebind-tiny", "ImageBind's architecture, tiny; random weights", OWN, EVERYTHING),
        FrozenKind("clip", "CLIP's picture tower", "that of the model you give (OpenAI's: MIT)", ("image",)),
        FrozenKind("clap", "CLAP's sound tower", "that of the model you give (LAION's: Apache 2.0)", ("audio",)),
    )
}  # fmt: skip
"""All but a user's own, which is written package.module:function."""


def frozen_kind(name: str) -> FrozenKind:
    """What ``name`` means. Raises ConfigError where it means nothing."""
    if ":" in name:
        return FrozenKind(name, "a function of the user's", "the user's own", EVERYTHING)
    if name not in FROZEN:
        raise ConfigError(
            f"unknown encoder {name!r}",
            where="--encoder",
            hint=f"{nearest(name, FROZEN)} Or package.module:function for one of your own.",
        )
    return FROZEN[name]


def check_reads(kind: FrozenKind, modalities: Mapping[str, Modality]) -> None:
    """Raises ConfigError where a spatial modality is none that the encoder has a part for."""
    for name, modality in modalities.items():
        if modality.spatial and modality.kind not in kind.reads:
            known = ", ".join(other.name for other in FROZEN.values() if modality.kind in other.reads)
            reads = f"{' and '.join(kind.reads)}, and vectors" if kind.reads else "vectors"
            raise ConfigError(
                f"the encoder {kind.name} reads {reads}; {name!r} is {modality.kind} of {modality.shape}",
                where="--encoder",
                hint=f"{modality.kind} is read by {known}; or leave {name} out by --modalities.",
            )

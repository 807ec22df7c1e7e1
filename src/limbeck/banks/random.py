"""A fresh random encoder a modality and step: the bank of DM and AVDD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from limbeck.rng import stream

if TYPE_CHECKING:
    import torch

    from limbeck.encoders.base import Encoder, Weights

__all__ = ["RandomBank"]

AUTHORS_BASE, AUTHORS_RANGE = 178_645, 100_000


class RandomBank:
    """Encoders whose weights are a function of (seed, step).

    Args:
        encoders: by modality.
        seed: of the run.
        shared_seeds: the authors' seeding: step t of seed e looks through the networks of step t - 1 of seed e + 1,
            so that their runs are one trajectory shifted by a step (docs/audio_visual.md). For comparison only.
    """

    def __init__(self, encoders: Mapping[str, Encoder], seed: int, *, shared_seeds: bool = False) -> None:
        self.encoders, self.seed, self.shared_seeds = dict(encoders), seed, shared_seeds

    def names(self, step: int) -> tuple[int, tuple[str | int, ...]]:
        """(seed, stream name) that a step's draws hang on."""
        if self.shared_seeds:
            return 0, ("authors", (AUTHORS_BASE + step + self.seed) % AUTHORS_RANGE)
        return self.seed, ("step", step)

    def weights(self, step: int, device: torch.device) -> dict[str, Weights]:
        """The step's weights by modality, on the device, without gradient."""
        seed, name = self.names(step)
        return {
            modality: encoder.init(stream(seed, *name, "network", modality), device)
            for modality, encoder in self.encoders.items()
        }

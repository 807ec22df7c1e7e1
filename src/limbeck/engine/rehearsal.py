"""Untrained networks in the place of a trained bank: a step costs the same, so that it can be measured beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from limbeck.banks.projection import Projection
from limbeck.rng import stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from limbeck.encoders.base import Encoder, Weights
    from limbeck.methods import Bank

__all__ = ["RehearsalBank", "RehearsalDecouplers", "RehearsalEmbeddings"]


class RehearsalBank:
    """Looks like a :class:`limbeck.banks.pretrained.PretrainedBank`."""

    id = "rehearsal"

    def __init__(self, encoders: Mapping[str, Encoder], members: int) -> None:
        self.encoders, self.members = dict(encoders), members
        self._weights = {name: e.init(stream(0, "rehearsal", name)) for name, e in encoders.items()}

    def weights(self, member: int, device: str | torch.device = "cpu") -> dict[str, Weights]:
        """The same untrained networks for every member."""
        del member
        return _moved(self._weights, device)


class RehearsalEmbeddings:
    """Looks like :class:`limbeck.banks.embeddings.FrozenEmbeddings`: numbers in the place of real embeddings."""

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        self._widths = {name: encoder.embedding for name, encoder in encoders.items()}

    def rows(self, view: int, modality: str, positions: Tensor, device: str | torch.device = "cpu") -> Tensor:
        """(n, D) from N(0, 1)."""
        import torch

        draw = stream(0, "rehearsal", view, modality)
        return torch.randn(len(positions), self._widths[modality], generator=draw).to(device)


class RehearsalDecouplers:
    """Looks like a :class:`limbeck.banks.decoupler.DecouplerBank`."""

    id = "rehearsal"

    def __init__(self, encoders: Mapping[str, Encoder], needs: Bank) -> None:
        self.per_member = needs.decouplers
        self._project = Projection(next(iter(encoders.values())).embedding, needs.mapping, needs.hidden)
        self._weights = {name: self._project.init(stream(0, "rehearsal", name, "map")) for name in encoders}

    def weights(self, member: int, t: int, device: str | torch.device = "cpu") -> dict[str, Weights]:
        """The same untrained maps for every pair."""
        del member, t
        return _moved(self._weights, device)

    def project(self, weights: Weights, z: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return self._project(weights, z)


def _moved(weights: Mapping[str, Weights], device: str | torch.device) -> dict[str, Weights]:
    return {name: {k: w.to(device) for k, w in own.items()} for name, own in weights.items()}

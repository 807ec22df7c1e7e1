"""A non-finite value stops the step that made it, before the set is touched."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.errors import NumericsError

__all__ = ["check_finite"]


def check_finite(step: int, terms: Mapping[str, Tensor], updates: Mapping[str, Tensor]) -> dict[str, float]:
    """The loss terms as numbers, in one trip from the device.

    Args:
        terms: of the step.
        updates: per modality, what the values are about to become.

    Raises:
        NumericsError: naming the term or modality that is not finite.
    """
    # a sum of finite values that overflows is caught too: it would not survive the next step either
    probes = [*terms.values(), *(u.double().abs().sum() for u in updates.values())]
    values = torch.stack([p.detach().double() for p in probes]).tolist()
    names = [*(f"loss term {n!r}" for n in terms), *(f"the step of {n!r}" for n in updates)]
    bad = [name for name, value in zip(names, values, strict=True) if not _finite(value)]
    if bad:
        raise NumericsError(
            f"{bad[0]} is not finite",
            where=f"step {step}",
            hint="The set is as it was. Start a new run with a lower --lr or smaller weights, or in --precision fp32.",
        )
    return dict(zip(terms, values, strict=False))


def _finite(value: float) -> bool:
    return value - value == 0

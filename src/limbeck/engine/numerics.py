"""What changes the last bits of a result: device, threads, kernels, precision, group sizes. Recorded with a run,
reused on resume."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from limbeck.encoders import encoders_for
from limbeck.encoders.allocator import keep_freed_memory
from limbeck.encoders.machine import choose_device
from limbeck.engine.groups import tuned_group

if TYPE_CHECKING:
    from limbeck.encoders.base import Encoder
    from limbeck.engine.settings import RunSettings
    from limbeck.modalities import Modality

__all__ = ["Numerics"]


@dataclass(frozen=True)
class Numerics:
    """Resolved: nothing is "auto" here."""

    device: str
    threads: int
    kernels: Literal["literal", "fused"]
    precision: Literal["fp32", "bf16"]
    group: int
    real_group: int
    torch: str = ""

    @classmethod
    def resolve(
        cls, settings: RunSettings, modalities: Mapping[str, Modality], classes: int, *, grouped: bool = True
    ) -> Numerics:
        """Settle every "auto" for this machine, measuring group sizes the first time where steps look at groups."""
        from limbeck.encoders.fused import default_kernels

        device = choose_device(settings.device)
        chosen = cls(
            device=str(device),
            threads=settings.threads or torch.get_num_threads(),
            kernels=settings.kernels if settings.kernels != "auto" else default_kernels(device),
            precision=settings.precision,
            group=settings.group or 1,
            real_group=settings.real_group or 1,
            torch=torch.__version__,
        )
        if settings.steps == 0 or not grouped:  # nothing will be run, or not in groups
            return chosen
        chosen.apply()
        encoders = chosen.encoders(modalities, settings.channels)
        decoded = (settings.per_class or 1) * settings.factor**2
        group = settings.group or tuned_group(encoders, chosen, items=decoded, classes=classes, backward=True)
        real = settings.real_group or tuned_group(
            encoders, chosen, items=settings.real_batch, classes=classes, backward=False
        )
        return dataclasses.replace(chosen, group=min(group, classes), real_group=min(real, classes))

    def apply(self) -> None:
        """Make this process compute so."""
        keep_freed_memory()
        torch.set_num_threads(self.threads)

    def encoders(self, modalities: Mapping[str, Modality], channels: int) -> dict[str, Encoder]:
        """The encoders of a set, with these kernels and this precision."""
        return encoders_for(modalities, channels=channels, kernels=self.kernels, precision=self.precision)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

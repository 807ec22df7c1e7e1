"""What computes: other machines give other last bits."""

from __future__ import annotations

import platform
from typing import Any

import torch

__all__ = ["computing", "machine_name"]


def machine_name(device: str | torch.device) -> str:
    """The GPU's name, or the CPU's architecture and instructions."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(torch.device(device))
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def computing(device: str | torch.device, kernels: str, precision: str) -> dict[str, Any]:
    """All that changes the last bits of what is trained or embedded here: part of what a cache is keyed by."""
    return {
        "kernels": kernels,
        "precision": precision,
        "torch": torch.__version__,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "machine": machine_name(device),
    }

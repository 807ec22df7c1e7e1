"""What computes: other machines give other last bits."""

from __future__ import annotations

import platform

import torch

__all__ = ["machine_name"]


def machine_name(device: str | torch.device) -> str:
    """The GPU's name, or the CPU's architecture and instructions."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(torch.device(device))
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"

"""What computes: other machines give other last bits."""

from __future__ import annotations

import platform
from typing import Any

import torch

from limbeck.errors import ConfigError

__all__ = ["choose_device", "computing", "machine_name"]


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


def choose_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is the GPU where there is one. Raises ConfigError where it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"unknown device {name!r}", where="--device", hint="Use auto, cpu, cuda or cuda:0."
        ) from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r} is not supported", where="--device", hint="Use auto, cpu, cuda or cuda:0.")
    if device.type == "cuda" and (device.index or 0) >= (torch.cuda.device_count() if torch.cuda.is_available() else 0):
        raise ConfigError(f"this machine has no GPU {name!r}", where="--device", hint="Use --device cpu.")
    return device

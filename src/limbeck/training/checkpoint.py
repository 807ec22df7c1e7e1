"""The state of a training after an epoch, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from limbeck.errors import ResumeError
from limbeck.files import write_bytes

__all__ = ["restore", "save"]


def save(path: Path, identity: str, epoch: int, weights: Mapping[str, Tensor], optimiser: Optimizer) -> None:
    """Keep weights and what the optimiser remembers. ``identity`` says which training they belong to."""
    from safetensors.torch import save as packed

    tensors = {}
    for name, weight in weights.items():
        tensors[f"weight.{name}"] = weight.detach().cpu().contiguous()
        for key, value in optimiser.state[weight].items():
            if value is not None:
                tensors[f"{key}.{name}"] = value.cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, packed(tensors, metadata={"limbeck": json.dumps({"identity": identity, "epoch": epoch})}))


def restore(path: Path, identity: str, weights: Mapping[str, Tensor], optimiser: Optimizer) -> int:
    """Put back what was kept, in place; returns how many epochs are done.

    Raises ResumeError where the file is damaged or belongs to another training.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["limbeck"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ResumeError(f"not readable ({error})", where=path, hint="Remove it to start anew.") from error
    if about["identity"] != identity:
        raise ResumeError("belongs to another training", where=path, hint="Remove it to start anew.")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(tensors.pop(f"weight.{name}"))
    for full, value in tensors.items():
        key, _, name = full.partition(".")
        optimiser.state[weights[name]][key] = value.to(weights[name].device)
    return int(about["epoch"])

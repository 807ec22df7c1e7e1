"""The state of a training after an epoch, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from limbeck.errors import ResumeError
from limbeck.files import write_bytes

__all__ = ["restore", "save"]


def save(path: Path, identity: str, epoch: int, weights: Mapping[str, Tensor], adam: torch.optim.Adam) -> None:
    """Keep weights and moments. ``identity`` says which training they belong to."""
    from safetensors.torch import save as packed

    tensors = {f"weight.{k}": w.detach().cpu().contiguous() for k, w in weights.items()}
    steps = 0.0
    for name, weight in weights.items():
        state = adam.state[weight]
        steps = float(state["step"])
        tensors[f"first.{name}"] = state["exp_avg"].cpu().contiguous()
        tensors[f"second.{name}"] = state["exp_avg_sq"].cpu().contiguous()
    about = {"identity": identity, "epoch": epoch, "steps": steps}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, packed(tensors, metadata={"limbeck": json.dumps(about)}))


def restore(path: Path, identity: str, weights: Mapping[str, Tensor], adam: torch.optim.Adam) -> int:
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
            weight.copy_(tensors[f"weight.{name}"])
            adam.state[weight] = {
                "step": torch.tensor(about["steps"], dtype=torch.float32, device=weight.device),
                "exp_avg": tensors[f"first.{name}"].to(weight.device),
                "exp_avg_sq": tensors[f"second.{name}"].to(weight.device),
            }
    return int(about["epoch"])

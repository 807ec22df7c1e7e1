"""Where a run stands, in one file that is replaced in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from limbeck.errors import ResumeError
from limbeck.files import write_bytes

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

FILE = "state.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The state after ``step`` steps.

    Random streams are functions of the step and need no state of their own.

    Args:
        run_hash: of the settings it belongs to.
        metrics_bytes, seconds: how much of metrics.jsonl belongs to these steps, and how long they took.
        values, momenta: per modality.
        extra: what the run keeps besides, such as learnt learning rates or an evolving network.
        about: numerics (device, threads, kernels, precision, group sizes) and versions they were computed under.
    """

    step: int
    run_hash: str
    metrics_bytes: int
    seconds: float
    values: Mapping[str, Tensor]
    momenta: Mapping[str, Tensor]
    about: Mapping[str, Any]
    extra: Mapping[str, Tensor] = field(default_factory=dict)


def write_checkpoint(folder: Path, state: Checkpoint) -> None:
    """Replace the folder's checkpoint: a kill leaves the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"value.{k}": v.detach().cpu().contiguous() for k, v in state.values.items()}
    tensors |= {f"momentum.{k}": v.detach().cpu().contiguous() for k, v in state.momenta.items()}
    tensors |= {f"extra.{k}": v.detach().cpu().contiguous() for k, v in state.extra.items()}
    about = {
        "step": state.step,
        "run_hash": state.run_hash,
        "metrics_bytes": state.metrics_bytes,
        "seconds": state.seconds,
        **state.about,
    }
    write_bytes(folder / FILE, save(tensors, metadata={"limbeck": json.dumps(about)}))


def read_checkpoint(folder: Path, run_hash: str) -> Checkpoint | None:
    """The checkpoint in ``folder``, None where there is none yet.

    Raises ResumeError where it cannot be read or belongs to other settings.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = {"step": None, "metrics_bytes": None, "seconds": 0.0, **json.loads(file.metadata()["limbeck"])}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ResumeError(
            f"not readable ({error})", where=path, hint="Start the run anew in another folder."
        ) from error
    if about.get("run_hash") != run_hash:
        raise ResumeError(
            "belongs to a run with other settings", where=path, hint="Resume with the run's own settings."
        )
    if not isinstance(about["step"], int) or about["step"] < 0 or not isinstance(about["metrics_bytes"], int):
        raise ResumeError("does not say where the run stands", where=path, hint="Start the run anew in another folder.")
    return Checkpoint(
        step=about.pop("step"),
        run_hash=about.pop("run_hash"),
        metrics_bytes=about.pop("metrics_bytes"),
        seconds=about.pop("seconds"),
        values=_below("value.", tensors),
        momenta=_below("momentum.", tensors),
        extra=_below("extra.", tensors),
        about=about,
    )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}

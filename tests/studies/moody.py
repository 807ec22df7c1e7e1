"""Encoders of a user's that do what they like in a study's workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path


def deadly(modality):
    """Its process dies, where it is not the one that started the others."""
    if multiprocessing.parent_process() is not None or "ray" in sys.modules:
        os.kill(os.getpid(), signal.SIGKILL)
    return flat(modality)


def broken(modality):
    """Asks for what is not there."""
    raise RuntimeError(f"no checkpoint for {modality.name}")


def patient(modality):
    """Says where it is, then waits until it may go on."""
    import ray

    marks = Path(os.environ["LIMBECK_CACHE"]) / "marks"
    (marks / ray.get_runtime_context().get_node_id()).touch()
    for _ in range(600):
        if (marks / "go").exists():
            return flat(modality)
        time.sleep(0.1)
    raise RuntimeError("nobody said go")


def flat(modality):
    """Items as they are."""
    del modality
    return lambda items: items.flatten(1)

"""Limbeck: large sets of paired media into tiny synthetic sets on which models train nearly as well.

>>> import limbeck
>>> synthetic = limbeck.distill("avdd", "digits", per_class=1, out="runs/first")  # doctest: +SKIP
>>> synthetic = limbeck.load("runs/first")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pathlib import Path

    from limbeck.data.store import PairedStore
    from limbeck.engine.run import distill
    from limbeck.evaluation.compare import compare
    from limbeck.evaluation.run import evaluate
    from limbeck.evaluation.trained import train
    from limbeck.studies import study
    from limbeck.synthetic import SyntheticSet

__all__ = ["PairedStore", "SyntheticSet", "__version__", "compare", "distill", "evaluate", "load", "study", "train"]

_WHERE = {
    "PairedStore": "limbeck.data.store",
    "SyntheticSet": "limbeck.synthetic",
    "compare": "limbeck.evaluation.compare",
    "distill": "limbeck.engine.run",
    "evaluate": "limbeck.evaluation.run",
    "study": "limbeck.studies",
    "train": "limbeck.evaluation.trained",
}


def load(path: str | Path) -> SyntheticSet:
    """The synthetic set of a run or of an artifact's folder, wherever that was copied to. Raises FormatError where it
    is not whole."""
    from limbeck.synthetic import SyntheticSet

    return SyntheticSet.load(path)


def __getattr__(name: str) -> Any:  # heavy parts are imported when they are first used
    if name not in _WHERE:
        raise AttributeError(f"module 'limbeck' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)

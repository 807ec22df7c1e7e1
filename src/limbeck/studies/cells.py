"""A cell of a study: its set, its scores, and the file that says how far it is.

A cell's file is replaced in one step after each piece of its work, so that a killed study goes on from the piece that
was not finished. It is the cell's worker that writes it: what is done stays done, whoever waits for the worker.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import FormatError, LimbeckError
from limbeck.files import read_json, write_json
from limbeck.studies.spec import Cell, Study

__all__ = ["Job", "finished", "read_state", "run_cell", "told_error", "write_state"]


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know, wherever it is.

    Args:
        folder: of the study.
        threads: of the CPU, where the study's settings say nothing of them.
    """

    folder: Path
    study: Study
    cell: Cell
    threads: int

    @property
    def run(self) -> Path:
        return self.folder / "runs" / self.cell.name


def read_state(folder: Path, name: str) -> dict[str, Any]:
    """What a cell's file says of it: ``state`` (done, failed or waiting), ``error``, ``seconds``, and ``results``, the
    file of its score by the scoring's id."""
    path = folder / "cells" / f"{name}.json"
    found = read_json(path) if path.exists() else {}
    state = {"name": name, "state": "waiting", "error": None, "seconds": {}, "results": {}, **found}
    kinds = {"seconds": dict, "results": dict, "state": str}
    if any(not isinstance(state[key], kind) for key, kind in kinds.items()):
        raise FormatError("not the file of a cell", where=path, hint="Remove it: the cell is looked at again then.")
    return state


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Replaces the cell's file."""
    write_json(folder / "cells" / f"{state['name']}.json", dict(state))


def finished(folder: Path, study: Study, cell: Cell) -> bool:
    """Whether the cell's set and every score of it are there."""
    state, run = read_state(folder, cell.name), folder / "runs" / cell.name
    files = [state["results"].get(scoring.id) for scoring in study.evaluate]
    there = all(file is not None and (run / "results" / file).exists() for file in files)
    return state["state"] == "done" and there and (run / "synthetic").exists()


def run_cell(job: Job) -> dict[str, Any]:
    """Makes the cell's set and scores it, as far as neither is there; what goes wrong is told in what it returns.

    Returns:
        What the cell's file then says. Only an interruption is raised.
    """
    state = {**read_state(job.folder, job.cell.name), "state": "waiting", "error": None}
    try:
        _make(job, state)
        for scoring in job.study.evaluate:
            file = state["results"].get(scoring.id)
            if file is None or not (job.run / "results" / file).exists():
                _score(job, scoring.keywords, scoring.id, state)
        state["state"] = "done"
    except Exception as error:  # the other cells do not hang on this one
        state |= {"state": "failed", "error": told_error(error)}
        if not isinstance(error, LimbeckError):
            (job.folder / "cells" / f"{job.cell.name}.trace").write_text(traceback.format_exc(), encoding="utf-8")
            state["error"]["hint"] = f"cells/{job.cell.name}.trace says where."
    write_state(job.folder, state)
    return state


def told_error(error: BaseException) -> dict[str, Any]:
    """An error, JSON-ready; ``user`` says whether the user's input is the cause."""
    if not isinstance(error, LimbeckError):
        return {"kind": type(error).__name__, "what": str(error) or "no message", "hint": None, "user": False}
    what = error.what if error.where is None else f"{error.where}: {error.what}"
    return {"kind": type(error).__name__, "what": what, "hint": error.hint, "user": error.exit_code == 2}


def _make(job: Job, state: dict[str, Any]) -> None:
    if (job.run / "synthetic").exists():
        return
    start, begun = time.monotonic(), (job.run / "log").exists()
    first = job.folder / "runs" / (job.cell.made_of or "")
    if job.cell.method.bytes_of is not None:
        from limbeck.synthetic import SyntheticSet

        _distil(job, {"bytes": SyntheticSet.load(first).counted_bytes})
    elif job.cell.made_of is not None:
        from limbeck.synthetic.pack import pack

        pack(first, job.run, storage=job.cell.storage)
    else:
        _distil(job, dict([job.cell.budget]))
    seconds = time.monotonic() - start
    if begun:  # its folder knows how long it was at work before it was killed
        from limbeck.report.cost import at_work
        from limbeck.report.read import read_metrics

        seconds = max(seconds, at_work(job.run, read_metrics(job.run / "metrics.jsonl")) or 0.0)
    state["seconds"]["distil"] = round(seconds, 3)
    write_state(job.folder, state)


def _distil(job: Job, budget: Mapping[str, int]) -> None:
    from limbeck.engine.run import distill

    method = job.cell.method
    begun = (job.run / "config.json").exists()
    # a begun run keeps its own threads
    settings: dict[str, Any] = {**({} if begun else {"threads": job.threads}), **method.settings, **budget}
    distill(
        method.name,
        job.study.data,
        out=job.run,
        resume=begun,
        method_settings=method.method_settings,
        seed=job.cell.seed,
        **settings,
    )


def _score(job: Job, keywords: Mapping[str, Any], scoring: str, state: dict[str, Any]) -> None:
    from limbeck.evaluation.run import evaluate

    start = time.monotonic()
    threads = job.cell.method.settings.get("threads", job.threads)
    result = evaluate(job.run, **{"threads": threads, **keywords})
    written = json.loads(json.dumps(result))
    state["results"][scoring] = next(
        file.name for file in sorted((job.run / "results").glob("*.json")) if read_json(file) == written
    )
    state["seconds"]["evaluate"] = round(state["seconds"].get("evaluate", 0.0) + time.monotonic() - start, 3)
    write_state(job.folder, state)

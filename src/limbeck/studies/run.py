"""A study from its file to its page: every cell once, however often it is killed.

| in the folder | what |
|---|---|
| ``study.json`` | the study as it was read, its cells, its data's hash, threads |
| ``runs/<label>-<budget>-s<seed>[-<storage>]/`` | a run folder for each cell |
| ``cells/<name>.json`` | how far the cell is: state, error, seconds |
| ``comparison.json`` | all cells and the tables of their scores |
| ``comparison.txt``, ``.md``, ``.tex``, ``.csv`` | the tables |
| ``report.html`` | the page |
| ``log`` | what happened when |
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.data import EMBEDDED
from limbeck.errors import ConfigError, LimbeckError
from limbeck.studies.cells import Job, finished, read_state, told_error, write_state
from limbeck.studies.check import check_cells
from limbeck.studies.compare import write_comparison
from limbeck.studies.folder import begin, opened
from limbeck.studies.hands import Hands
from limbeck.studies.queue import Queue
from limbeck.studies.spec import Study, read_study
from limbeck.units import duration

__all__ = ["study"]


def study(
    file: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    resume: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Distil and score every cell of a study: methods x budgets x seeds, and put the scores into tables and on a page.

    A cell that fails does not keep the others from running; its error stands in what is returned. A killed study goes
    on with ``resume``: what is finished is not touched, what failed is tried again.

    Args:
        file: the study, a YAML or JSON file or a mapping like one; docs/studies.md says what it holds.
        out: its folder, new or (with ``resume``) a study's.
        executor: "local", processes of this machine, or "ray".
        workers: cells at a time; by default one a core (eight at most) or one a GPU, and on Ray what it has room for.
        address: of a Ray cluster; by default one is made on this machine.
        resume: go on. The file may name more methods, sizes and seeds by then; what it named before stays as it was.
        progress: say what happens on standard error.

    Returns:
        What ``comparison.json`` holds: the study, its cells, each with its state and error, and its comparisons.

    Raises:
        ConfigError: before anything is run, for names, settings and data that do not exist; after it, where scores
            turn out not to mean the same.
        ResumeError: where another study is resumed than was started, or another process works on this one.
    """
    hands = Hands(executor, workers, address)
    folder, read = Path(out).absolute(), read_study(file)
    if read.data not in EMBEDDED:  # workers may stand elsewhere
        read = dataclasses.replace(read, data=str(Path(read.data).absolute()))
    with opened(folder, resume=resume):
        threads = hands.threads(len(list(read.cells())))
        refused, data = check_cells(read, threads)
        threads = begin(folder, read, data, threads, resume=resume)
        said = _Voice(folder, progress)
        _work(folder, read, hands, threads, refused, said)
        mixed: ConfigError | None = None
        try:
            found = write_comparison(folder, read, data)
        except ConfigError as error:  # the cells and other tables have their page all the same
            mixed = error
        from limbeck.report.study import write_study_report

        said(f"the page: {write_study_report(folder)}")
        if mixed is not None:
            raise mixed
    return found


def _work(
    folder: Path, read: Study, hands: Hands, threads: int, refused: Mapping[str, LimbeckError], said: _Voice
) -> None:
    """Every cell that is not finished; those that are refused fail at once."""
    queue = Queue(read.cells(), {cell.name for cell in read.cells() if finished(folder, read, cell)})
    every, before = len(queue.cells), len(queue.done)
    said(f"{every} cells: {before} done, {len(queue.waiting)} to do")

    def ended(name: str, outcome: Mapping[str, Any]) -> None:
        queue.settle(name, failed=outcome["state"] == "failed")
        if outcome["state"] == "failed":
            write_state(folder, {**read_state(folder, name), **outcome})
        rate = (time.monotonic() - start) / max(1, queue.settled - before)
        said(f"[{queue.settled}/{every}] {name}: {_in_words(outcome)}, {duration((every - queue.settled) * rate)} left")

    start = time.monotonic()
    for name in [cell.name for cell in queue.waiting if cell.name in refused]:
        queue.waiting.remove(queue.cells[name])
        ended(name, _failed(refused[name]))
    start, before = time.monotonic(), queue.settled
    if not queue.waiting:
        return
    with hands.pool(read, threads, len(queue.waiting)) as pool:
        while True:
            for orphan in queue.orphans():
                error = read_state(folder, str(orphan.made_of))["error"]
                what = f"it stands on {orphan.made_of}, which failed"
                ended(orphan.name, {"state": "failed", "error": {**error, "what": what, "hint": None}})
            while pool.free and (cell := queue.take()) is not None:
                pool.start(Job(folder, read, cell, threads))
            if not pool.busy:
                return
            for job, outcome in pool.wait():
                ended(job.cell.name, outcome)


def _failed(error: LimbeckError) -> dict[str, Any]:
    return {"state": "failed", "error": told_error(error)}


def _in_words(outcome: Mapping[str, Any]) -> str:
    if outcome["state"] == "failed":
        return f"failed: {outcome['error']['kind']}: {outcome['error']['what']}"
    words = {"distil": "distilled", "evaluate": "scored"}
    return ", ".join(f"{words[piece]} in {seconds:.1f} s" for piece, seconds in outcome["seconds"].items())


class _Voice:
    """What happens, into the study's log, and on standard error where that is asked for."""

    def __init__(self, folder: Path, aloud: bool) -> None:
        self.path, self.aloud = folder / "log", aloud

    def __call__(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
        if self.aloud:
            print(line, file=sys.stderr, flush=True)

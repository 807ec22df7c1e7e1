"""A run: a folder that a distillation fills, and that a killed one goes on from.

| in the folder | what |
|---|---|
| ``config.json`` | method, data and every setting, resolved; ``limbeck distill --config`` takes it |
| ``run.json`` | data hash, numerics, versions, time |
| ``initial/`` | the set before the first step |
| ``synthetic/`` | the result; it is there when the run is finished |
| ``metrics.jsonl`` | loss terms of every step |
| ``checkpoint/`` | where an unfinished run stands |
| ``snapshots/`` | the set after every so many steps, where asked for |
| ``validation.json`` | what the validation split said of the set, where it chooses the step to keep |
| ``log`` | what happened when |
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from limbeck.data import cache_root
from limbeck.engine.best import Best, as_of, clear, judge_for
from limbeck.engine.checkpoint import FILE as STATE
from limbeck.engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from limbeck.engine.folder import begin, claimed, log, refuse_used, withdraw
from limbeck.engine.initial import initial_set
from limbeck.engine.interrupt import Interrupted, interruptible
from limbeck.engine.loop import Loop
from limbeck.engine.metrics import MetricsFile
from limbeck.engine.paired import paired
from limbeck.engine.plan import Plan, plan, provenance, versions
from limbeck.engine.ranks import Ranks
from limbeck.engine.resume import planned_again
from limbeck.engine.session import together
from limbeck.engine.settings import FRESH
from limbeck.engine.sharing import settled_by
from limbeck.engine.sight import seen_through
from limbeck.errors import ConfigError, LimbeckError, ResumeError
from limbeck.progress import Progress
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["distill"]


def distill(
    method: str,
    data: str | Path | PairedStore | None = None,
    *,
    out: str | Path,
    resume: bool = False,
    progress: bool = False,
    method_settings: Mapping[str, Any] | None = None,
    **settings: Any,
) -> SyntheticSet:
    """Distil ``data`` into a synthetic set, in a run folder.

    Args:
        method: ``limbeck methods`` lists them.
        data: a data set's name, a store's folder, or a store; may be left out on resuming.
        out: the run folder, new or (with ``resume``) a run's.
        resume: go on with an unfinished run; what is given again must be what the run was started with.
        progress: show it on standard error.
        method_settings: the method's own settings.
        **settings: of the run; see :class:`limbeck.engine.settings.RunSettings`. What is left out fits method and data.

    Under ``torchrun`` its processes share the work, and all of them return the set; rank 0 writes ``out``.

    Returns:
        The synthetic set, also found in ``out``.

    Raises:
        LimbeckError: of the kind that says what is wrong; an interrupted run raises KeyboardInterrupt and can be
            resumed.
    """
    folder = Path(out)
    with together(str(settings.get("device") or "auto")) as ranks:

        def settle() -> Plan:
            if resume:
                return planned_again(folder, method, data, settings, method_settings or {})
            if data is None:
                raise ConfigError("no data", hint="Name a data set or a store's folder.")
            refuse_used(folder)
            return plan(method, data, settings=settings, method_settings=method_settings)

        planned = settled_by(ranks, settle, data, resume=resume)
        with claimed(folder) if ranks.first else nullcontext():
            if ranks.first and not resume:
                refuse_used(folder)
                begin(folder, planned, ranks.size)
            if (done := ranks.tell(lambda: _finished(folder))) is not None:
                return done
            if ranks.first and resume:
                log(folder, "resuming")  # however far it was: what lies before it is no work
            try:
                return _execute(folder, planned, progress and ranks.first, ranks)
            except LimbeckError:
                if ranks.first and not resume:
                    withdraw(folder)
                raise


def _finished(folder: Path) -> SyntheticSet | None:
    return SyntheticSet.load(folder / "synthetic") if (folder / "synthetic").exists() else None


def _execute(folder: Path, planned: Plan, progress: bool, ranks: Ranks) -> SyntheticSet:
    planned.numerics.apply()
    synthetic = ranks.tell(lambda: _begun(folder, planned, progress))
    if planned.settings.steps:
        synthetic = _step(folder, planned, synthetic, progress, ranks)

    def finish() -> SyntheticSet:
        done = synthetic.stored_as(planned.settings.storage)
        done.save(folder / "synthetic")
        (folder / "checkpoint" / STATE).unlink(missing_ok=True)
        clear(folder)
        log(folder, "finished")
        return done

    return ranks.tell(finish)


def _begun(folder: Path, planned: Plan, progress: bool) -> SyntheticSet:
    """The set before the first step."""
    if (folder / "initial").exists():
        synthetic = SyntheticSet.load(folder / "initial")
        _refuse_other_towers(folder, planned, synthetic, progress)
    else:
        log(folder, f"choosing real items: {planned.settings.init}")
        about = {**provenance(planned), "steps_done": 0}
        synthetic = initial_set(
            planned.store, planned.settings, planned.numerics, about,
            options=planned.method.selection_options, progress=progress,
            paired=paired(planned, progress=progress) if planned.by_pairs else None,
            pairs=planned.method.stored_pairs(planned.settings.pairs) if planned.settings.pairs else None,
        )  # fmt: skip
        synthetic.save(folder / "initial")
    return synthetic


def _refuse_other_towers(folder: Path, planned: Plan, initial: SyntheticSet, progress: bool) -> None:
    """Raises ResumeError where towers or frozen encoders, which are made from the data and kept in the cache, are not
    those the run was started with."""
    if not (planned.by_pairs or planned.settings.encoder != FRESH) or not planned.settings.steps:
        return
    now = seen_through(planned, progress=progress)
    if initial.provenance.get("encoders", now) != now:
        raise ResumeError(
            "the networks are not what the run was started with: their weights have been made anew since",
            where=folder,
            hint="Put the cache back, or start a new run in another folder.",
        )


def _step(folder: Path, planned: Plan, synthetic: SyntheticSet, progress: bool, ranks: Ranks) -> SyntheticSet:
    """The set after all steps, or as it was when the validation split liked it best. Rank 0 writes and looks."""
    settings = planned.settings
    cache = cache_root() / "statistics" if settings.cache else None
    loop = Loop(planned, synthetic, cache, progress=progress, ranks=ranks)
    state = ranks.tell(lambda: read_checkpoint(folder / "checkpoint", planned.hash))
    if state is not None:
        loop.restore(state.step, dict(state.values), dict(state.momenta), dict(state.extra))
        if ranks.first:
            log(folder, f"resumed after step {state.step}" + (f" by {ranks.size} ranks" if ranks.many else ""))
    best = _best(folder, planned, loop.step, progress) if ranks.first else None
    with (
        _metrics_file(folder, state, ranks) as file,
        Progress(planned.method.name, settings.steps, done=loop.step, shown=progress) as bar,
        interruptible(launched=ranks.many) as interrupted,
    ):
        metrics = MetricsFile(
            file, loop.objective.items_per_step, state.seconds if state else 0.0,
            _board(folder, planned, loop.step) if ranks.first else None,
        )  # fmt: skip

        about = {"numerics": planned.numerics.to_dict(), "versions": versions()}

        def keep() -> None:
            if ranks.first:
                values = {name: value.detach() for name, value in synthetic.values.items()}
                write_checkpoint(
                    folder / "checkpoint",
                    Checkpoint(
                        loop.step, planned.hash, metrics.flush(), metrics.seconds, values, loop.momenta(), about,
                        loop.state(),
                    ),
                )  # fmt: skip

        def look(step: int, *, last: bool = False) -> None:
            if settings.validate == "none" or not (last or step % settings.validate_every == 0):
                return
            if best is not None:
                began = time.monotonic()
                better = best.look(step, _now(synthetic, loop))
                metrics.waited(time.monotonic() - began)
                if better:  # on a GPU steps that are taken again may end elsewhere, and the set before is gone
                    keep()
            ranks.wait()  # here, where rank 0 may take as long as it likes

        def done() -> bool:
            """Whether the split has said that it is enough."""
            return settings.validate != "none" and ranks.tell(lambda: best is not None and best.done)

        saved = time.monotonic()
        try:
            look(loop.step)
            for found in loop.run(0 if done() else settings.steps):
                metrics.write(found)
                bar.update(found.step, found.terms, metrics.rate)
                look(found.step)
                if ranks.first and settings.snapshots and found.step % settings.snapshots == 0:
                    _snapshot(folder, _now(synthetic, loop), found.step)
                if time.monotonic() - saved >= settings.checkpoint_every:
                    keep()
                    saved = time.monotonic()
                if ranks.any(interrupted()):
                    keep()
                    ranks.wait()
                    raise Interrupted
                if done():
                    if best is not None:
                        log(folder, f"{best.patience} looks at the validation split without a better one")
                    break
            look(loop.step, last=True)
        except LimbeckError:
            if settings.stepping == "step":  # else the error may have fallen between two classes
                keep()
            raise
        finally:
            metrics.close()
            for line in (f"at step {loop.step}", *loop.objective.notes()) if ranks.first else ():
                log(folder, line)
            loop.close()
    if best is None:
        return as_of(_now(synthetic, loop), loop.step)
    chosen = best.take()
    chosen.provenance |= {"selection": f"validation split, {settings.validate}", "steps_taken": loop.step}
    return chosen


@contextmanager
def _metrics_file(folder: Path, state: Checkpoint | None, ranks: Ranks) -> Iterator[IO[str]]:
    """metrics.jsonl, at the end of what belongs to the steps that are taken; on other ranks than 0 it goes nowhere."""
    if not ranks.first:
        with Path(os.devnull).open("w", encoding="utf-8") as file:
            yield file
        return
    path = folder / "metrics.jsonl"
    path.touch()
    with path.open("r+", encoding="utf-8", newline="\n") as file:
        size = file.seek(0, 2)
        file.truncate(min(size, state.metrics_bytes) if state else 0)
        file.seek(0, 2)
        yield file


def _now(synthetic: SyntheticSet, loop: Loop) -> SyntheticSet:
    """With what is learnt beside the set."""
    synthetic.provenance |= loop.objective.learnt()
    return synthetic


def _best(folder: Path, planned: Plan, step: int, progress: bool) -> Best | None:
    """Who chooses the step to keep; None for the last one."""
    settings = planned.settings
    if settings.validate == "none":
        return None
    judge = judge_for(planned, progress=progress)
    return Best(folder, judge, patience=settings.patience, resumed=step)


def _snapshot(folder: Path, synthetic: SyntheticSet, step: int) -> None:
    """Keeps the set as it is after ``step``; one that a killed run kept already is the same."""
    path = folder / "snapshots" / str(step)
    if not path.exists():
        as_of(synthetic, step).save(path)


def _board(folder: Path, planned: Plan, step: int) -> Any:
    """A writer of TensorBoard events after ``step``, or None."""
    if not planned.settings.tensorboard:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)  # drops what a killed run wrote beyond it

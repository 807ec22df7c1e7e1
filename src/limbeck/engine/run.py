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

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.config import build
from limbeck.data import cache_root
from limbeck.encoders.machine import choose_device
from limbeck.engine.best import Best, as_of, clear, judge_for
from limbeck.engine.checkpoint import FILE as STATE
from limbeck.engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from limbeck.engine.folder import begin, claimed, log, refuse_used, withdraw
from limbeck.engine.initial import initial_set
from limbeck.engine.interrupt import interruptible
from limbeck.engine.loop import Loop
from limbeck.engine.metrics import MetricsFile
from limbeck.engine.numerics import Numerics
from limbeck.engine.paired import RESOLVED, paired
from limbeck.engine.plan import Plan, plan, present, provenance, versions
from limbeck.engine.settings import FRESH, weighed
from limbeck.engine.sight import seen_through
from limbeck.errors import ConfigError, LimbeckError, ResumeError
from limbeck.files import read_json
from limbeck.methods import method_class
from limbeck.progress import Progress
from limbeck.synthetic import Budget, SyntheticSet

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

    Returns:
        The synthetic set, also found in ``out``.

    Raises:
        LimbeckError: of the kind that says what is wrong; an interrupted run raises KeyboardInterrupt and can be
            resumed.
    """
    folder = Path(out)
    if resume:
        planned = _planned_again(folder, method, data, settings, method_settings or {})
    elif data is None:
        raise ConfigError("no data", hint="Name a data set or a store's folder.")
    else:
        refuse_used(folder)
        planned = plan(method, data, settings=settings, method_settings=method_settings)
    with claimed(folder):
        if not resume:
            refuse_used(folder)
            begin(folder, planned)
        if (folder / "synthetic").exists():
            return SyntheticSet.load(folder / "synthetic")
        try:
            return _execute(folder, planned, progress)
        except LimbeckError:
            if not resume:
                withdraw(folder)
            raise


def _execute(folder: Path, planned: Plan, progress: bool) -> SyntheticSet:
    planned.numerics.apply()
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
    if planned.settings.steps:
        synthetic = _step(folder, planned, synthetic, progress)
    synthetic = synthetic.stored_as(planned.settings.storage)
    synthetic.save(folder / "synthetic")
    (folder / "checkpoint" / STATE).unlink(missing_ok=True)
    clear(folder)
    log(folder, "finished")
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


def _step(folder: Path, planned: Plan, synthetic: SyntheticSet, progress: bool) -> SyntheticSet:
    """The set after all steps, or as it was when the validation split liked it best."""
    cache = cache_root() / "statistics" if planned.settings.cache else None
    loop = Loop(planned, synthetic, cache, progress=progress)
    state = read_checkpoint(folder / "checkpoint", planned.hash)
    if state is not None:
        loop.restore(state.step, dict(state.values), dict(state.momenta), dict(state.extra))
        log(folder, f"resumed after step {state.step}")
    best = _best(folder, planned, loop.step, progress)
    metrics_path = folder / "metrics.jsonl"
    metrics_path.touch()
    with (
        metrics_path.open("r+", encoding="utf-8", newline="\n") as file,
        Progress(planned.method.name, planned.settings.steps, done=loop.step, shown=progress) as bar,
        interruptible() as interrupted,
    ):
        size = file.seek(0, 2)
        file.truncate(min(size, state.metrics_bytes) if state else 0)
        file.seek(0, 2)
        metrics = MetricsFile(
            file, loop.objective.items_per_step, state.seconds if state else 0.0, _board(folder, planned, loop.step)
        )

        about = {"numerics": planned.numerics.to_dict(), "versions": versions()}

        def keep() -> None:
            values = {name: value.detach() for name, value in synthetic.values.items()}
            write_checkpoint(
                folder / "checkpoint",
                Checkpoint(
                    loop.step, planned.hash, metrics.flush(), metrics.seconds, values, loop.momenta(), about,
                    loop.state(),
                ),
            )  # fmt: skip

        def look(step: int, *, last: bool = False) -> None:
            if best is not None and (last or step % planned.settings.validate_every == 0):
                began = time.monotonic()
                better = best.look(step, _now(synthetic, loop))
                metrics.waited(time.monotonic() - began)
                if better:  # on a GPU steps that are taken again may end elsewhere, and the set before is gone
                    keep()

        saved = time.monotonic()
        try:
            look(loop.step)
            for found in loop.run(0 if best is not None and best.done else planned.settings.steps):
                metrics.write(found)
                bar.update(found.step, found.terms, metrics.rate)
                look(found.step)
                if planned.settings.snapshots and found.step % planned.settings.snapshots == 0:
                    _snapshot(folder, _now(synthetic, loop), found.step)
                if time.monotonic() - saved >= planned.settings.checkpoint_every:
                    keep()
                    saved = time.monotonic()
                if interrupted():
                    keep()
                    raise KeyboardInterrupt
                if best is not None and best.done:
                    log(folder, f"{best.patience} looks at the validation split without a better one")
                    break
            look(loop.step, last=True)
        except LimbeckError:
            if planned.settings.stepping == "step":  # else the error may have fallen between two classes
                keep()
            raise
        finally:
            metrics.close()
            log(folder, f"at step {loop.step}")
            for line in loop.objective.notes():
                log(folder, line)
            loop.close()
    if best is None:
        return as_of(_now(synthetic, loop), loop.step)
    chosen = best.take()
    chosen.provenance |= {"selection": f"validation split, {planned.settings.validate}", "steps_taken": loop.step}
    return chosen


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


def _planned_again(
    folder: Path, method: str, data: object, given: Mapping[str, Any], method_given: Mapping[str, Any]
) -> Plan:
    """The plan an unfinished run was started with; raises ResumeError where something else is asked for now."""
    if not (folder / "config.json").exists() or not (folder / "run.json").exists():
        raise ResumeError("no run was started here", where=folder, hint="Leave --resume out.")
    config, about = read_json(folder / "config.json"), read_json(folder / "run.json")
    if "imported" in about:
        raise ResumeError("this set was imported, and there is no run to go on with", where=folder)
    damaged = [
        key
        for source, key, kind in (
            (config, "data", str), (about, "method", str), (about, "numerics", dict), (about, "data", dict),
        )
        if not isinstance(source.get(key), kind)
    ]  # fmt: skip
    if damaged or "hash" not in about["data"] or not isinstance(config.get("method", {}), dict):
        raise ResumeError("run.json or config.json is damaged", where=folder, hint="Start a new run in another folder.")
    given = weighed(given)
    # what was left to the run was settled when it was started, and left to it again it is the same
    now = {k: v for k, v in present(given).items() if not (k in RESOLVED and v == "auto")}
    changed = [] if about["method"] == method else [f"method {about['method']} -> {method}"]
    changed += [f"{k} {config.get(k)!r} -> {v!r}" for k, v in now.items() if k not in config or config[k] != v]
    stored = config.get("method", {})
    if not changed:  # settled first: of one number for sound and the rest the config holds two
        budget = Budget(config.get("per_class"), config.get("pairs"), config.get("bytes"))
        own = build(method_class(method), {**stored, **method_given}, where="method.").for_budget(budget)
        settled = present(dataclasses.asdict(own))
        pairs = [(k, stored.get(k), settled.get(k)) for k in method_given]
        changed += [f"method.{k} {before!r} -> {after!r}" for k, before, after in pairs if before != after]
    if changed:
        raise ResumeError(
            f"the run was started with other settings: {'; '.join(changed)}",
            where=folder,
            hint="Leave them out, or start a new run in another folder.",
        )
    settings = {k: v for k, v in config.items() if k not in ("data", "method")}
    numerics = build(Numerics, about["numerics"], where="numerics.")
    choose_device(numerics.device)
    again: Any = config["data"] if data is None else data  # the hash below says whether it is the same
    planned = plan(method, again, settings=settings, method_settings=stored, numerics=numerics)
    if planned.store.data_hash != about["data"]["hash"]:
        raise ResumeError(
            "the data is not what the run was started on",
            where=planned.store.path,
            hint="Say --data with the right one.",
        )
    if numerics.torch != versions()["torch"]:
        log(folder, f"resuming under torch {versions()['torch']}, started under {numerics.torch}: last bits may differ")
    return planned


def _board(folder: Path, planned: Plan, step: int) -> Any:
    """A writer of TensorBoard events after ``step``, or None."""
    if not planned.settings.tensorboard:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)  # drops what a killed run wrote beyond it

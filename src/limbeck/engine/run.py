"""A run: a folder that a distillation fills, and that a killed one goes on from.

| in the folder | what |
|---|---|
| ``config.json`` | method, data and every setting, resolved; ``limbeck distill --config`` takes it |
| ``run.json`` | data hash, numerics, versions, time |
| ``initial/`` | the set before the first step |
| ``synthetic/`` | the result; it is there when the run is finished |
| ``metrics.jsonl`` | loss terms of every step |
| ``checkpoint/`` | where an unfinished run stands |
| ``log`` | what happened when |
"""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from limbeck.config import build, settings_hash
from limbeck.data import cache_root, open_data
from limbeck.engine.checkpoint import FILE as STATE
from limbeck.engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from limbeck.engine.initial import chosen_modalities, initial_set
from limbeck.engine.loop import Loop, pixel_rate
from limbeck.engine.metrics import MetricsFile
from limbeck.engine.numerics import Numerics
from limbeck.engine.progress import Progress
from limbeck.engine.settings import RunSettings, resolve
from limbeck.engine.statistics import StatisticsCache, statistics_key
from limbeck.errors import ConfigError, LimbeckError, MissingDependencyError, ResumeError
from limbeck.files import read_json, sweep, write_json
from limbeck.methods import Method, method_class
from limbeck.synthetic import Budget, SyntheticSet

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["Plan", "distill", "make_loop", "plan"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything a run will do, before it does any of it."""

    method: Method
    store: PairedStore
    data: str
    settings: RunSettings
    numerics: Numerics

    @property
    def config(self) -> dict[str, Any]:
        """As ``config.json`` holds it."""
        settings = {**dataclasses.asdict(self.settings), "method": _given(dataclasses.asdict(self.method))}
        return {"data": self.data, **_given(settings)}

    @property
    def hash(self) -> str:
        """What a checkpoint belongs to: all that decides the result."""
        free = (
            "checkpoint_every",
            "tensorboard",
            "cache",
            "cache_limit",
            "threads",
            "group",
            "real_group",
            "device",
            "kernels",
        )
        config = {k: v for k, v in self.config.items() if k not in (*free, "data")}
        return settings_hash(self.method.name, config, self.store.data_hash, self.numerics.to_dict())


def plan(
    method: str,
    data: str | Path | PairedStore,
    *,
    settings: Mapping[str, Any],
    method_settings: Mapping[str, Any] | None = None,
    numerics: Numerics | None = None,
) -> Plan:
    """Resolve a run's settings and check that they fit the data.

    Args:
        method: name of a method.
        data: a data set's name, a store's folder or a store.
        settings: of the run, by name; see :class:`RunSettings`.
        method_settings: of the method, by name.
        numerics: of the run that is resumed; settled for this machine by default.

    Raises:
        ConfigError: settings that do not exist or do not fit; DataError: data that does not suffice.
    """
    kind = method_class(method)
    store = open_data(data)
    run = resolve(kind, store, settings)
    budget = Budget(run.per_class, run.pairs)
    chosen = build(kind, method_settings or {}, where="method.").for_budget(budget)
    modalities = chosen_modalities(store, run.modalities)
    chosen.check(modalities, budget)
    if budget.per_class is not None and not store.classes:
        raise ConfigError("this set has no classes", where=store.path, hint="Use --pairs.")
    budget.check(store, run.factor)
    settled = numerics or Numerics.resolve(run, modalities, len(store.classes))
    name = data if isinstance(data, str) else str(getattr(data, "path", data))
    return Plan(chosen, store, name, run, settled)


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
    with _only_one(folder):
        sweep(folder)
        sweep(folder / "checkpoint")
        if resume:
            planned = _planned_again(folder, method, data, settings, method_settings or {})
        else:
            if data is None:
                raise ConfigError("no data", hint="Name a data set or a store's folder.")
            _refuse_used(folder)
            planned = plan(method, data, settings=settings, method_settings=method_settings)
            _begin(folder, planned)
        if (folder / "synthetic").exists():
            return SyntheticSet.load(folder / "synthetic")
        return _execute(folder, planned, progress)


def make_loop(planned: Plan, initial: SyntheticSet, cache: StatisticsCache | None) -> Loop:
    """The loop of a plan."""
    return Loop(planned.method, initial, planned.store, planned.settings, planned.numerics, cache)


def open_cache(planned: Plan) -> StatisticsCache | None:
    """The plan's cache file, None where it keeps none."""
    if not planned.settings.cache:
        return None
    modalities = chosen_modalities(planned.store, planned.settings.modalities)
    encoders = planned.numerics.encoders(modalities, planned.settings.channels)
    return StatisticsCache(
        cache_root() / "statistics",
        statistics_key(planned.store, encoders, planned.settings, planned.numerics),
        {name: (len(planned.store.classes), encoder.embedding) for name, encoder in encoders.items()},
        planned.settings.cache_dtype,
        planned.settings.cache_limit * 1e9,
    )


def _execute(folder: Path, planned: Plan, progress: bool) -> SyntheticSet:
    planned.numerics.apply()
    provenance = _provenance(planned)
    if (folder / "initial").exists():
        synthetic = SyntheticSet.load(folder / "initial")
    else:
        _log(folder, f"choosing real items: {planned.settings.init}")
        synthetic = initial_set(planned.store, planned.settings, planned.numerics, {**provenance, "steps_done": 0})
        synthetic.save(folder / "initial")
    if planned.settings.steps:
        _step(folder, planned, synthetic, progress)
    synthetic.values = {name: value.detach().cpu() for name, value in synthetic.values.items()}
    synthetic.provenance["steps_done"] = planned.settings.steps
    synthetic.save(folder / "synthetic")
    (folder / "checkpoint" / STATE).unlink(missing_ok=True)
    _log(folder, "finished")
    return synthetic


def _step(folder: Path, planned: Plan, synthetic: SyntheticSet, progress: bool) -> None:
    cache = open_cache(planned)
    loop = make_loop(planned, synthetic, cache)
    state = read_checkpoint(folder / "checkpoint", planned.hash)
    if state is not None:
        loop.restore(state.step, dict(state.values), dict(state.momenta))
        _log(folder, f"resumed after step {state.step}")
    metrics_path = folder / "metrics.jsonl"
    metrics_path.touch()
    with (
        metrics_path.open("r+", encoding="utf-8", newline="\n") as file,
        Progress(planned.method.name, planned.settings.steps, done=loop.step, shown=progress) as bar,
        _interruptible() as interrupted,
    ):
        file.truncate(state.metrics_bytes if state else 0)
        file.seek(0, 2)
        metrics = MetricsFile(file, loop.items_per_step, state.seconds if state else 0.0, _board(folder, planned))

        def keep() -> None:
            values = {name: value.detach() for name, value in synthetic.values.items()}
            write_checkpoint(
                folder / "checkpoint",
                Checkpoint(loop.step, planned.hash, metrics.flush(), metrics.seconds, values, loop.momenta()),
            )

        saved = time.monotonic()
        try:
            for found in loop.run(planned.settings.steps):
                metrics.write(found)
                bar.update(found.step, found.terms, metrics.rate)
                if time.monotonic() - saved >= planned.settings.checkpoint_every:
                    keep()
                    saved = time.monotonic()
                if interrupted():
                    raise KeyboardInterrupt
        except (KeyboardInterrupt, LimbeckError) as error:
            # in per-class stepping an error can fall between two classes; then the last checkpoint stands
            if planned.settings.stepping == "step" or isinstance(error, KeyboardInterrupt):
                keep()
            _log(folder, f"stopped after step {loop.step}: {type(error).__name__}")
            raise
        finally:
            metrics.flush()
            if cache is not None:
                _log(folder, f"real statistics: {cache.hits} steps from the cache, {cache.misses} computed")
                cache.close()


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-ready, without what was left open."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items() if v is not None}


def _begin(folder: Path, planned: Plan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "run.json",
        {
            "method": planned.method.name,
            "data": {"name": planned.store.name, "path": str(planned.store.path), "hash": planned.store.data_hash},
            "numerics": planned.numerics.to_dict(),
            "hash": planned.hash,
            "versions": _versions(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )
    write_json(folder / "config.json", planned.config)  # last: its presence says that a run was started
    _log(folder, f"started: {planned.method.name} on {planned.store.name}")


def _planned_again(
    folder: Path, method: str, data: object, given: Mapping[str, Any], method_given: Mapping[str, Any]
) -> Plan:
    """The plan an unfinished run was started with; raises ResumeError where something else is asked for now."""
    if not (folder / "config.json").exists() or not (folder / "run.json").exists():
        raise ResumeError("no run was started here", where=folder, hint="Leave --resume out.")
    config, about = read_json(folder / "config.json"), read_json(folder / "run.json")
    now = _given({**given, "data": None if data is None else str(getattr(data, "path", data))})
    changed = [] if about["method"] == method else [f"method {about['method']} -> {method}"]
    changed += [f"{k} {config.get(k)!r} -> {v!r}" for k, v in now.items() if k not in config or config[k] != v]
    stored = config.get("method", {})
    changed += [f"method.{k} {stored.get(k)!r} -> {v!r}" for k, v in method_given.items() if stored.get(k) != v]
    if changed:
        raise ResumeError(
            f"the run was started with other settings: {'; '.join(changed)}",
            where=folder,
            hint="Leave them out, or start a new run in another folder.",
        )
    settings = {k: v for k, v in config.items() if k not in ("data", "method")}
    numerics = build(Numerics, about["numerics"], where="numerics.")
    planned = plan(method, config["data"], settings=settings, method_settings=stored, numerics=numerics)
    if planned.store.data_hash != about["data"]["hash"]:
        raise ResumeError("the data is not what the run was started on", where=planned.store.path)
    if numerics.torch != _versions()["torch"]:
        _log(
            folder, f"resuming under torch {_versions()['torch']}, started under {numerics.torch}: last bits may differ"
        )
    return planned


def _provenance(planned: Plan) -> dict[str, Any]:
    encoders = planned.numerics.encoders(
        chosen_modalities(planned.store, planned.settings.modalities), planned.settings.channels
    )
    width = next(iter(encoders.values())).embedding
    return {
        "method": planned.method.name,
        "settings": {k: v for k, v in planned.config.items() if k != "data"},
        "seed": planned.settings.seed,
        "data": {"name": planned.store.name, "hash": planned.store.data_hash, "path": planned.data},
        "encoders": {name: encoder.id for name, encoder in encoders.items()},
        "pixel_rate": pixel_rate(planned.settings, planned.method, width),
        "numerics": planned.numerics.to_dict(),
        "versions": _versions(),
        "run_hash": planned.hash,
    }


def _versions() -> dict[str, str]:
    import platform

    import numpy
    import torch

    from limbeck import __version__

    return {
        "limbeck": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def _refuse_used(folder: Path) -> None:
    if (folder / "config.json").exists():
        finished = (folder / "synthetic").exists()
        raise ConfigError(
            "a finished run is here" if finished else "an unfinished run is here",
            where=folder,
            hint="Choose another --out." if finished else "Go on with --resume, or choose another --out.",
        )
    if folder.exists() and (not folder.is_dir() or any(p.name not in (".lock", "run.json") for p in folder.iterdir())):
        raise ConfigError("not an empty folder", where=folder, hint="Choose another --out.")


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    if folder.exists() and not folder.is_dir():
        raise ConfigError("not a folder", where=folder, hint="Choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(folder / ".lock"))
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout as error:
        raise ResumeError("another process is working in this run folder", where=folder) from error


@contextmanager
def _interruptible() -> Iterator[Any]:
    """Ctrl-C waits for the end of the step; a second one does not."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _board(folder: Path, planned: Plan) -> Any:
    if not planned.settings.tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            "TensorBoard is not installed", hint="pip install 'limbeck[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))


def _log(folder: Path, text: str) -> None:
    with (folder / "log").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")

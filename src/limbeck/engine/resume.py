"""Going on with a run: what it was started with, and whether that is what is asked for now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.config import build
from limbeck.encoders.machine import choose_device
from limbeck.engine.folder import log
from limbeck.engine.numerics import Numerics
from limbeck.engine.paired import RESOLVED
from limbeck.engine.plan import Plan, plan, present, versions
from limbeck.engine.settings import weighed
from limbeck.errors import ResumeError
from limbeck.files import read_json
from limbeck.methods import method_class
from limbeck.synthetic import Budget

__all__ = ["planned_again"]


def planned_again(
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
    recorded = {k: v for k, v in about["numerics"].items() if k != "ranks"}  # however many there are now
    numerics = build(Numerics, recorded, where="numerics.")
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

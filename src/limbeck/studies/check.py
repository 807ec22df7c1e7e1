"""What can be said of a study's cells before any of them is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limbeck.errors import ConfigError, LimbeckError
from limbeck.studies.spec import Study

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan

__all__ = ["check_cells"]

OF_STUDENTS = {
    "channels": "channels", "modalities": "modalities", "encoder": "protocol", "task": "protocol",
    "captions": "captions", "width": "width", "tower": "students",
}  # fmt: skip
"""What of a run its students take theirs from, and the keyword of ``evaluate`` that says otherwise."""
BY_PAIRS = ("captions", "width", "tower")
"""Those of them that only runs by pairs have."""
ENOUGH = 2**50
"""Bytes that stand for those of a set that is not there yet."""


def check_cells(study: Study, threads: int) -> tuple[dict[str, LimbeckError], dict[str, Any]]:
    """Plan a run of each method and budget.

    Returns:
        By name, the error of each cell that cannot be; and the data's name and hash.

    Raises:
        LimbeckError: data that is not there; ConfigError where students of two methods would differ, whose scores
            could not stand in one table.
    """
    from limbeck.data import open_data
    from limbeck.engine.plan import plan

    store = open_data(study.data)
    errors: dict[tuple[str, int], LimbeckError] = {}
    seen: dict[str, dict[str, str]] = {}
    for method in study.methods:
        for size in study.sizes:
            # groups are given: what they should be is measured where the cell is run
            kind, much = (study.budget, size) if method.bytes_of is None else ("bytes", ENOUGH)
            told = {"threads": threads, "group": 1, "real_group": 1, **method.settings, kind: much}
            try:
                planned = plan(method.name, store, settings=told, method_settings=method.method_settings)
            except LimbeckError as error:
                errors[method.label, size] = error
                continue
            for name, value in _told(planned).items():
                seen.setdefault(name, {}).setdefault(value, method.label)
    _refuse_other_students(study, seen)
    made = {cell.name: (cell.method.label, cell.budget[1]) for cell in study.cells()}
    refused = {name: errors[of] for name, of in made.items() if of in errors}
    return refused, {"name": store.name, "hash": store.data_hash}


def _told(planned: Plan) -> dict[str, str]:
    """By name of ``OF_STUDENTS`` what the run says, in words."""
    own: dict[str, object] = {name: getattr(planned.settings, name) for name in ("channels", "encoder", *BY_PAIRS)}
    own |= {"modalities": ", ".join(planned.modalities), "task": "by pairs" if planned.by_pairs else "by class"}
    unheard = [] if planned.by_pairs else [*BY_PAIRS]
    unheard += ["encoder"] if planned.store.settings.get("embedded") else []  # which all look at as it is
    return {name: str(value) for name, value in own.items() if name not in unheard}


def _refuse_other_students(study: Study, seen: dict[str, dict[str, str]]) -> None:
    for scoring in study.evaluate:
        for name, methods in seen.items():
            if len(methods) > 1 and getattr(scoring, OF_STUDENTS[name]) is None:
                told = ", ".join(f"{value} of {label}" for value, label in methods.items())
                raise ConfigError(
                    f"students are as the sets' encoders, and these differ in {name} ({told})", where="evaluate",
                    hint=f"Say evaluate.{OF_STUDENTS[name]}, the same for all of them.",
                )  # fmt: skip

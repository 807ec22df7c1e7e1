"""What can be said of a study's cells before any of them is run."""

from __future__ import annotations

from typing import Any

from limbeck.errors import ConfigError, LimbeckError
from limbeck.studies.spec import Study

__all__ = ["check_cells"]

OF_STUDENTS = {"channels": "channels", "captions": "captions", "width": "width", "tower": "students"}
"""Settings of a run from which its students take theirs, and the keyword of ``evaluate`` that says otherwise; all but
the first of runs by pairs."""


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
    for method in (method for method in study.methods if method.bytes_of is None):
        for size in study.sizes:
            # groups are given: what they should be is measured where the cell is run
            told = {"threads": threads, "group": 1, "real_group": 1, **method.settings, study.budget: size}
            try:
                planned = plan(method.name, store, settings=told, method_settings=method.method_settings)
            except LimbeckError as error:
                errors[method.label, size] = error
                continue
            for name in OF_STUDENTS if planned.by_pairs else ("channels",):
                seen.setdefault(name, {}).setdefault(str(getattr(planned.settings, name)), method.label)
    _refuse_other_students(study, seen)
    made = {cell.name: (cell.method.label, cell.budget[1]) for cell in study.cells()}
    refused = {name: errors[of] for name, of in made.items() if of in errors}
    return refused, {"name": store.name, "hash": store.data_hash}


def _refuse_other_students(study: Study, seen: dict[str, dict[str, str]]) -> None:
    for scoring in study.evaluate:
        for name, methods in seen.items():
            if len(methods) > 1 and getattr(scoring, OF_STUDENTS[name]) is None:
                told = ", ".join(f"{value} of {label}" for value, label in methods.items())
                raise ConfigError(
                    f"students are as the sets' encoders, and these differ in {name} ({told})", where="evaluate",
                    hint=f"Say evaluate.{OF_STUDENTS[name]}, the same for all of them.",
                )  # fmt: skip

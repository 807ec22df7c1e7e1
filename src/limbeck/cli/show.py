"""How results look in a terminal. With ``as_json`` standard output holds JSON and nothing else."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.units import duration, size

if TYPE_CHECKING:
    from rich.table import Table

    from limbeck.synthetic import SyntheticSet

__all__ = ["banks", "cards", "comparison", "cost", "done", "publishing", "scores", "study", "summary", "table"]


def done(synthetic: SyntheticSet, folder: Path) -> None:
    """What a run came to, and what to do with it."""
    items = len(synthetic) * synthetic.factor**2
    print(f"{folder}: {len(synthetic)} items ({size(synthetic.counted_bytes)}), decoding to {items}")
    made = synthetic.provenance
    if "steps_taken" in made:
        print(f"  kept:   step {made['steps_done']} of {made['steps_taken']}, which the validation split likes best")
    print(f"  score:  limbeck evaluate {folder} --whole")
    print(f"  look:   limbeck report {folder}")
    print(f'  use:    limbeck.load("{folder}").torch()')


def publishing(folder: Path) -> None:
    """What a person may type after an export that nothing was done with."""
    print(f"  fill in:  {folder / 'README.md'}, where it says so")
    print(f"  publish:  hf upload USER/NAME {shlex.quote(str(folder))} . --repo-type dataset  (nothing was uploaded)")


def scores(result: Mapping[str, Any], as_json: bool) -> None:
    """Mean, std, interval and n of each metric, the whole training split beside it. By pairs, too, the standard error
    that so few test items leave. Below it what a reader must know."""
    if as_json:
        _print_json(result)
        return
    whole = result.get("whole")
    title = f"{result['protocol']} v{result['version']}, {result['selection']}, {result['split']} split"
    title += ", as published" if result.get("as_published") else ""
    each, items = _by_student(result), result.get("items")
    columns = ["student"] if len(each) > 1 else []
    columns += [
        "metric",
        "score",
        "95 % interval",
        "n",
        *([f"error of {items} items"] if items else []),
        *(["whole data"] if whole else []),
        "chance",
    ]
    upper = _by_student(whole) if whole else {}
    rows = []
    for student, (found, n) in each.items():
        for metric in found["mean"]:
            interval = (found.get("interval") or {}).get(metric)
            chance = (result.get("chances") or {}).get(metric, result.get("chance"))
            row = [
                *([student] if len(each) > 1 else []),
                _named(metric, result),
                _spread(found, metric),
                f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "-",
                str(n),
                *([f"{found['binomial'][metric]:.1f}"] if items else []),
                *([_spread(upper[student][0], metric) if student in upper else "-"] if whole else []),
                "-" if chance is None else f"{chance:.1f}",
            ]
            rows.append(row)
    _print_table(title, columns, rows)
    for note in result.get("notes", ()):
        print(note)


def _by_student(result: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, Any], int]]:
    """Architecture -> (mean, std and interval by metric, number of students): no mean over architectures is shown."""
    several = result.get("by_student") or {result["students"][0]: result}
    counts = [run["student"] for run in result["runs"]]
    return {name: (found, counts.count(name)) for name, found in several.items()}


def _named(metric: str, result: Mapping[str, Any]) -> str:
    """The metric with its unit, where it is not per cent."""
    unit = (result.get("units") or {}).get(metric, "%")
    return metric if unit == "%" else f"{metric} ({unit}, less is better)"


def comparison(found: Mapping[str, Any], form: str, as_json: bool) -> None:
    """Rows of several runs, and what they have in common; ``form``: "table", or one of ``comparison.FORMATS``."""
    from limbeck.evaluation.comparison import as_text

    if as_json:
        _print_json(found)
    else:
        print(as_text(found, form), end="")


def study(found: Mapping[str, Any], folder: Path, as_json: bool) -> None:
    """The tables of a study, and where its page is."""
    from limbeck.evaluation.comparison import as_text

    if as_json:
        _print_json(found)
        return
    for table in found["comparisons"]:
        print(as_text(table, "table"))
    done = sum(cell["state"] == "done" for cell in found["cells"])
    print(f"{folder}: {done} of {len(found['cells'])} cells done")
    print(f"  look:   {folder / 'report.html'}")


def banks(about: Mapping[str, Any], as_json: bool) -> None:
    """The banks of a set: what was trained now, what is there, how good it is."""
    if as_json:
        _print_json(about)
        return
    pairs, maps = about["pretrained"], about.get("decouplers")
    print(f"{about['data']['name']}: {_stage(pairs, pairs['members'], 'encoder pairs')}")
    if pairs["validation"]:
        print("  validation  " + "  ".join(f"{k} {v:.1f}" for k, v in pairs["validation"].items()))
    if maps:
        print(f"{about['data']['name']}: {_stage(maps, pairs['members'] * maps['per_member'], 'decouplers')}")


def _stage(about: Mapping[str, Any], number: int, what: str) -> str:
    missing = about["were_missing"]
    now = f"{missing} trained now" if missing else "all were there"
    return f"{number} {what}, {now} ({size(about['bytes'])}, {about['path']})"


def cards(items: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """A list of things that have names."""
    if as_json:
        _print_json(items)
        return
    _print_table(None, columns, [[str(item.get(c, "")) for c in columns] for item in items])


def table(value: Any, title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool) -> None:
    """``value`` as JSON, or its rows."""
    if as_json:
        _print_json(value)
    else:
        _print_table(title, columns, rows)


def summary(about: Mapping[str, Any], as_json: bool) -> None:
    """Nested facts, one a line."""
    if as_json:
        _print_json(about)
        return
    for line in _lines(about):
        print(line)


def cost(about: Mapping[str, Any], as_json: bool) -> None:
    """What a run will take."""
    if as_json:
        _print_json(about)
        return
    if not about["steps"]:
        print(f"{about['method']} takes no steps; its set is {size(about['set_bytes'])}")
        _print_first(about["first"])
        return
    print(f"{about['method']} on {about['data']}: {about['steps']} steps on {about['numerics']['device']}")
    print(f"  first run         {about['seconds_per_step']:.3f} s a step, {duration(about['seconds'])} in all")
    if about["cache_bytes"]:  # methods that look at no class means keep none
        cached = about["seconds_per_step_cached"]
        print(f"  statistics cached {cached:.3f} s a step, {duration(about['seconds_cached'])}")
        print(f"  cache on disk     {size(about['cache_bytes'])}")
    print(f"  memory            {size(about['memory_bytes'])}")
    print(f"  the set           {size(about['set_bytes'])}")
    _print_first(about["first"])


def _print_first(stages: Sequence[str]) -> None:
    for stage in stages:
        print(f"  before it         {stage}; kept for later runs")


def _spread(result: Mapping[str, Any], metric: str) -> str:
    deviation = (result.get("std") or {}).get(metric)
    mean = f"{result['mean'][metric]:.1f}"
    return mean if deviation is None else f"{mean} ± {deviation:.1f}"


def _lines(value: Any, indent: str = "", name: str = "") -> list[str]:
    label = f"{indent}{name}: " if name else indent
    if isinstance(value, Mapping):
        inner = [line for k, v in value.items() for line in _lines(v, indent + ("  " if name else ""), str(k))]
        return [f"{indent}{name}:", *inner] if name else inner
    if isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list)) for v in value):
        rows = [
            "  " + ", ".join(f"{k} {v}" for k, v in r.items()) if isinstance(r, Mapping) else f"  {r}" for r in value
        ]
        return [f"{indent}{name}:", *(indent + row for row in rows)]
    if isinstance(value, (list, tuple)):
        return [label + ", ".join(map(str, value))]
    return [f"{label}{value}"]


def _print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def _print_table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console

    Console(soft_wrap=False).print(_table(title, columns, rows))


def _table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i == 0)  # names are there to be typed
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table

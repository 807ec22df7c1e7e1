"""A comparison as people read it: in a terminal, in Markdown, in LaTeX, or as values between commas.

Every form says the protocol, its version and the selection rule.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from limbeck.errors import ConfigError, nearest
from limbeck.evaluation.result import binomial_error
from limbeck.units import size

__all__ = ["FORMATS", "as_text", "cells", "columns", "footnotes", "title"]

WIDE = 400
"""Columns of a terminal's table."""
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {c: "\\" + c for c in "&%$#_{}"} | {"±": r"$\pm$", "·": r"$\cdot$", "−": r"$-$", "->": r"$\to$"}


def title(found: Mapping[str, Any]) -> str:
    """What all scores of a comparison have in common."""
    published = ", each with what it learnt beside its items (as published)" if found["as_published"] else ""
    return (
        f"{found['protocol']} v{found['version']}, {found['selection']}, {found['split']} split of {found['dataset']} "
        f"({str(found['data_hash'])[:12]}), students {', '.join(found['students'])}{published}"
    )


def columns(found: Mapping[str, Any]) -> list[str]:
    """Names of the columns of :func:`cells`."""
    return [
        "method",
        "budget",
        *(["student"] if len(found["students"]) > 1 else []),
        "sets x students",
        *(name for metric in found["metrics"] for name in _of(metric, found)),
        "over",
        "size",
        *(["steps"] if _any(found, "steps") else []),
        *(["seconds"] if _any(found, "seconds") else []),
    ]


def _of(metric: str, found: Mapping[str, Any]) -> list[str]:
    unit = found["units"].get(metric, "%")
    name = metric if unit == "%" else f"{metric} ({unit}, less is better)"
    return [name, "95 % interval", *([f"− {found['baseline']}"] if found["baseline"] else [])]


def _any(found: Mapping[str, Any], name: str) -> bool:
    return any(row[name] is not None for row in found["rows"])


def cells(found: Mapping[str, Any]) -> list[list[str]]:
    """A row for each of the comparison, whole data and chance below them."""
    rows = [_row(row, found) for row in (*found["rows"], *found["whole"])]
    if any(chance is not None for chance in found["chances"].values()):
        blank = {"label": "chance", "student": "", "n": {"students": 0}, "sets": [], "budget": {"size": None}}
        scores = {m: {"mean": c, "std": None, "interval": None} for m, c in found["chances"].items()}
        rows.append(_row({**blank, **dict.fromkeys(("bytes", "steps", "seconds")), "scores": scores}, found))
    return rows


def _row(row: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    return [
        row["label"],
        "" if row["budget"]["size"] is None else f"{row['budget']['size']} {row['budget']['kind']}",
        *([row["student"]] if len(found["students"]) > 1 else []),
        _counted(row),
        *(cell for metric in found["metrics"] for cell in _score(row["scores"][metric], len(row["sets"]), found)),
        next((s["over"] for s in row["scores"].values() if s["interval"] is not None), ""),
        "" if row["bytes"] is None else size(row["bytes"]),
        *([_number(row["steps"])] if _any(found, "steps") else []),
        *([_number(row["seconds"])] if _any(found, "seconds") else []),
    ]


def _counted(row: Mapping[str, Any]) -> str:
    each = {s["students"] for s in row["sets"]}
    if not each:
        return f"{row['n']['students']} students" if row["n"]["students"] else ""
    return f"{len(row['sets'])} x {min(each)}" + (f" to {max(each)}" if len(each) > 1 else "")


def _score(score: Mapping[str, Any], sets: int, found: Mapping[str, Any]) -> list[str]:
    if score["mean"] is None:
        return ["", "", *([""] if found["baseline"] else [])]
    spread = "" if score["std"] is None else f" ± {score['std']:.1f}"
    cells = [f"{score['mean']:.1f}{spread}", _interval(score)]
    return [*cells, _difference(score.get("difference"), sets)] if found["baseline"] else cells


def _difference(paired: Mapping[str, Any] | None, sets: int) -> str:
    if paired is None:
        return ""
    told = [_interval(paired)] if paired["interval"] else []
    told += [f"{paired['sets']} of {sets} sets"] if paired["sets"] < sets else []
    return (f"{paired['mean']:+.1f}" + (f" ({'; '.join(told)})" if told else "")).replace("-", "−")


def _interval(score: Mapping[str, Any]) -> str:
    return "" if score["interval"] is None else "{:.1f} to {:.1f}".format(*score["interval"]).replace("-", "−")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def footnotes(found: Mapping[str, Any]) -> list[str]:
    """What to know beside the table."""
    notes = [
        "Mean ± standard deviation: of sets (each the mean of its students) where there are two or more, else of the "
        "students of the one set, which spread less than sets do; the 95 % interval is over the same.",
    ]
    if found["baseline"]:
        notes.append(f"− {found['baseline']}: paired by the seed of the set, over the students both have.")
    if found["items"]:
        means = [row["scores"][metric]["mean"] for row in found["rows"] for metric in found["metrics"]]
        errors = sorted(binomial_error(mean, found["items"]) for mean in means if 0 <= mean <= 100)
        ends = dict.fromkeys(f"{error:.1f}" for error in (*errors[:1], *errors[-1:]))
        notes += [
            f"{found['items']} test items leave a standard error of {' to '.join(ends)} points, which the intervals do "
            "not hold; all rows share these items."
        ] * bool(ends)
    left = [f"{run['path']} ({run['why']})" for run in found["left_out"]]
    return [*notes, *found["notes"], *([f"Left out: {', '.join(left)}."] if left else [])]


def as_text(found: Mapping[str, Any], form: str) -> str:
    """The comparison as ``table`` (of a terminal), ``markdown``, ``latex`` (booktabs) or ``csv`` (one line a row and
    metric, unrounded).

    Raises ConfigError on another form.
    """
    if form not in FORMATS:
        raise ConfigError(f"no format {form!r}", where="--format", hint=nearest(form, FORMATS))
    return FORMATS[form](found)


def _table(found: Mapping[str, Any]) -> str:
    """For a terminal; rows stay whole, however narrow it is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title(found)), box=box.SIMPLE_HEAD, title_justify="left")
    for i, name in enumerate(columns(found)):
        table.add_column(Text(name), no_wrap=i == 0)
    for row in cells(found):
        table.add_row(*map(Text, row))
    text = io.StringIO()
    Console(file=text, width=WIDE, color_system=None).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join([*lines, *footnotes(found), ""])


def _markdown(found: Mapping[str, Any]) -> str:
    def line(row: Sequence[str]) -> str:
        return f"| {' | '.join(row)} |"

    names = columns(found)
    head = [title(found), "", line(names), "|" + "---|" * len(names)]
    rows = [line([cell.replace("|", "\\|") for cell in row]) for row in cells(found)]
    return "\n".join([*head, *rows, "", *(f"- {note}" for note in footnotes(found)), ""])


def _latex(found: Mapping[str, Any]) -> str:
    """What the scores have in common stands above the columns, and all of it that is to be known in comments."""

    def line(row: Sequence[str]) -> str:
        return " & ".join(map(_escaped, row)) + r" \\"

    names = columns(found)
    return "\n".join(
        [
            *(f"% {line}" for line in (title(found), *footnotes(found))),
            rf"\begin{{tabular}}{{ll{'r' * (len(names) - 2)}}}",
            rf"\multicolumn{{{len(names)}}}{{@{{}}p{{\linewidth}}@{{}}}}{{{_escaped(title(found))}}} \\",
            r"\toprule",
            line(names),
            r"\midrule",
            *map(line, cells(found)),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    found, rest = "", text
    while rest:
        taken = next((c for c in LATEX if rest.startswith(c)), rest[0])
        found, rest = found + LATEX.get(taken, taken), rest[len(taken) :]
    return found


def _csv(found: Mapping[str, Any]) -> str:
    common = {name: found[name] for name in ("protocol", "version", "selection", "split", "dataset", "data_hash")}
    common["as_published"] = found["as_published"]
    lines = []
    for row in (*found["rows"], *found["whole"]):
        about = {name: row[name] for name in ("label", "method", "student", "bytes", "steps", "seconds")}
        about |= {"budget": row["budget"]["size"], "budget_kind": row["budget"]["kind"], **row["n"]}
        for metric, score in row["scores"].items():
            told = {"metric": metric, "unit": found["units"][metric], "chance": found["chances"][metric]}
            told |= {name: score[name] for name in ("mean", "std", "over")} | _ends("", score)
            paired = score.get("difference")
            if found["baseline"]:
                told |= {"baseline": found["baseline"], "difference": paired and paired["mean"]}
                told |= _ends("difference_", paired or {"interval": None})
            lines.append({**about, **told, **common})
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(lines[0]) if lines else [], lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()


def _ends(prefix: str, score: Mapping[str, Any]) -> dict[str, Any]:
    low, high = score["interval"] or (None, None)
    return {f"{prefix}low": low, f"{prefix}high": high}


FORMATS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "table": _table,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
}

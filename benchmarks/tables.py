"""Markdown tables of what the ladder found."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

SHORT = {"audio": "A", "image": "V", "fused": "AV"}


def table(options, rows, results: Mapping, whole: Mapping, pairs: Sequence[tuple[str, str]]) -> str:
    """One table for each scoring."""
    first = next(iter(results.values()))["scores"]
    return "\n".join(_one(options, rows, results, whole, pairs, label) for label in first)


def _one(options, rows, results, whole, pairs, label) -> str:
    example = next(iter(results.values()))["scores"][label]
    metrics = [m for m in SHORT if m in example["metrics"]]
    if len(metrics) < len(example["metrics"]) and "audio" not in metrics:  # retrieval, or depth and text
        metrics = example["metrics"]
    title = f"`{example['protocol']}` v{example['version']}, {label}, {options.split} split"
    names = " | ".join(SHORT[m] if set(metrics) <= set(SHORT) else m for m in metrics)
    lines = ["", title, "", f"| per class | row | {names} | sets x students | steps | s a set |"]
    lines.append(f"|---|---|{'---|' * len(metrics)}---|---|---|")
    for per_class in options.per_class:
        for row in rows:
            found = [r for (name, n, _), r in sorted(results.items()) if (name, n) == (row, per_class)]
            if not found:
                continue
            cells = [spread([run["scores"][m] for r in found for run in r["scores"][label]["runs"]]) for m in metrics]
            took, steps = statistics.median(r["seconds"] for r in found), found[0]["steps"]
            students = len(found[0]["scores"][label]["runs"])
            lines.append(
                f"| {per_class} | {row} | {' | '.join(cells)} | {len(found)} x {students} | {steps} | {took:.0f} |"
            )
        for better, base in pairs:
            there = {name for name, n, _ in results if n == per_class}
            if {better, base} <= there:
                lines.append(_difference(results, label, per_class, better, base, metrics))
    if label in whole:
        cells = [spread([run["scores"][m] for run in whole[label]["runs"]]) for m in metrics]
        lines.append(f"| all | Whole data | {' | '.join(cells)} | {len(whole[label]['runs'])} students | | |")
    return "\n".join(lines)


def _difference(results, label, per_class, better, base, metrics) -> str:
    """Paired by set seed, each set's score the mean over the students both have: mean difference and 95 % interval. A
    row without a draw has one set, paired with each."""
    from limbeck.evaluation.study import summarise

    alone = [seed for name, n, seed in results if (name, n) == (base, per_class)] == [0]
    seeds = [
        seed
        for (name, n, seed) in sorted(results)
        if (name, n) == (better, per_class) and ((base, per_class, seed) in results or alone)
    ]
    if not seeds:
        return f"| {per_class} | *{better} minus {base}* |{' |' * (len(metrics) + 3)}"
    cells = []
    for metric in metrics:
        gaps = []
        for seed in seeds:
            other = results.get((base, per_class, seed)) or results[(base, per_class, 0)]
            one = results[(better, per_class, seed)]
            gaps.append(_gap(one["scores"][label]["runs"], other["scores"][label]["runs"], metric))
        found = summarise(gaps)
        low, high = found.interval or (float("nan"), float("nan"))
        cells.append(f"{found.mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    return f"| {per_class} | *{better} minus {base}* | {' | '.join(cells)} | {len(seeds)} pairs | | |"


def _gap(one: list, other: list, metric: str) -> float:
    """Between the means of the students both sets have been scored by."""
    a, b = ({run["seed"]: run["scores"][metric] for run in runs} for runs in (one, other))
    common = sorted(set(a) & set(b))
    return statistics.mean(a[seed] - b[seed] for seed in common)


def spread(scores: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else f"{scores[0]:.1f}"


def file_name(row: str) -> str:
    """A folder's name for a row."""
    return row.split(",")[0].replace(" ", "_").replace(":", "")

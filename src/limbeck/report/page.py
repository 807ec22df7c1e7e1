"""The report: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.evaluation.result import binomial_error
from limbeck.files import write_bytes, writing_to
from limbeck.modalities import Text
from limbeck.report.about import facts, fixed, flat, origin, use
from limbeck.report.budget import budgets_of
from limbeck.report.cost import cost_of
from limbeck.report.curves import loss_chart, score_chart
from limbeck.report.gallery import build_gallery
from limbeck.report.projection import check_projection, plane_of
from limbeck.report.read import Run, read_run
from limbeck.report.recalls import recall_grid
from limbeck.report.scores import Table, confusion_table, score_table
from limbeck.report.similarity import similarity_heat

__all__ = ["render_page", "write_report"]

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
LONG = ("settings", "real_items")
"""Of the provenance: what stands elsewhere on the page, and a name for each real item."""


def write_report(
    run_folder: str | Path, out: str | Path | None = None, *, projection: str = "none", progress: bool = False
) -> Path:
    """Write the report of a finished run.

    What the folder does not hold (scores, loss curves, the initial set) is named on the page instead.

    Args:
        run_folder: what ``limbeck distill --out`` made.
        out: the HTML file; by default ``report.html`` in the run folder.
        projection: "tsne" or "umap" to see real and synthetic items in the plane, which needs the real set where it
            was and trains a network on it once; "auto" is t-SNE where that is quick, and says so where it is not;
            "none" needs nothing but the folder. The command line takes "auto" by default.

    Returns:
        The file, replaced in one step.

    Raises:
        ConfigError: if ``out`` cannot be written, or on an unknown projection.
        FormatError: if the folder is not a finished run, or a file in it is damaged.
        LimbeckError: if the projection cannot be made, see :func:`limbeck.report.projection.project`.
    """
    check_projection(projection)
    run = read_run(Path(run_folder))
    path = Path(out) if out is not None else run.folder / "report.html"
    name = shlex.quote(str(run_folder))
    plane, why = plane_of(run.synthetic, run.initial, projection, name, progress=progress)
    content = _content(run)
    content["missing"] = [*content["missing"], *([why] if why else [])]
    render_page(TEMPLATES / "page.html.j2", path, plane=plane, **content)
    return path


def render_page(template: Path, path: Path, **content: Any) -> None:
    """Write one HTML file that needs no other. ``template`` may use this room's macros (``parts.html.j2``).

    Raises ConfigError if ``path`` cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    html = pages.get_template(template.name).render(**content, style=style, script=script, policy=_policy(script))
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, html.encode())


def _policy(script: str) -> str:
    """Only this very script may run, and nothing may be fetched: a class name can do no harm, whatever it says."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def _content(run: Run) -> dict[str, Any]:
    synthetic, provenance = run.synthetic, run.synthetic.provenance
    gallery = build_gallery(synthetic, run.initial)
    scores = score_table(run.result, run.whole, len(synthetic.classes))
    method = str(provenance.get("method") or run.about.get("method") or "a method")
    data = provenance.get("data") or run.about.get("data") or {}
    undistilled = run.initial is None and provenance.get("steps_done") == 0
    return {
        "method": method,
        "data": str(data.get("name", "data")) if isinstance(data, Mapping) else str(data),
        "name": run.folder.resolve().name,
        "facts": facts(run),
        "scores": scores,
        "other_scores": [t for o in run.others if (t := score_table(o, None, len(synthetic.classes))) is not None],
        "grid": recall_grid(scores),
        "cost": cost_of(run.folder, run.metrics, run.result, run.whole),
        "budgets": budgets_of(run.folder, measure=f"{scores.lead}, %") if scores else None,
        "honest": _honest(scores, run.result),
        "confusion": confusion_table(run.result, synthetic.classes),
        "gallery": gallery,
        "compared": [m.name for m in synthetic.modalities.values() if not isinstance(m, Text)],
        "heat": similarity_heat(synthetic),
        "undistilled": undistilled,
        "shapes": [f"{m.name} {' × '.join(map(str, m.shape))}" for m in synthetic.modalities.values()],
        "has_sound": any(m.kind == "audio" for m in synthetic.modalities.values()),
        "chart": loss_chart(run.metrics, run.looks if len(run.looks) > 1 else ()),
        "looks": score_chart(run.looks, run.metrics, provenance.get("steps_done")),
        "kept": provenance.get("steps_done"),
        "taken": provenance.get("steps_taken"),
        "fixed": fixed(run),
        "use": use(run),
        "origin": origin(run),
        "missing": run.missing,
        "settings": flat({k: v for k, v in run.config.items() if k != "data"}),
        "provenance": flat({**{k: v for k, v in provenance.items() if k not in LONG}, "run": run.about}),
    }


def _honest(scores: Table | None, result: Mapping[str, Any] | None) -> str:
    """What the numbers mean, and what they do not."""
    if scores is None or result is None:
        return ""
    n = scores.headline.n
    students = "One student was" if n == 1 else f"{n} students were" if n else "Students were"
    given = " and on what it learnt beside its items (as published)" if result.get("as_published") else ""
    items, few = result.get("items"), ""
    if isinstance(items, int) and items > 0 and 0 <= scores.headline.mean <= 100:
        error = binomial_error(scores.headline.mean, items)
        few = f" The {items} test items alone leave a standard error of {error:.1f} points, whatever the students."
    return (
        f"{students} trained on this set{given} and scored on real {result.get('split', 'test')} items by the protocol "
        f"{scores.protocol}; selection: {scores.selection}. The spread is that of students trained on this one set: "
        f"sets distilled from other seeds spread more, so compare methods over several sets.{few}"
        + "".join(f" {note}" for note in result.get("notes", ()))
    )

"""What the pages say that the code or a measured table knows is put in when the site is built, so that it never goes
stale: a line ``<!-- make: settings avdd -->`` becomes the settings of AVDD.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

from limbeck.cli.fields import _documented
from limbeck.engine.settings import RunSettings
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.methods import Method, method_class, methods
from limbeck.methods.base import BUDGETS
from limbeck.recipes import recipes
from limbeck.synthetic import Budget

DOCS = Path(__file__).parent
MAKE = re.compile(r"^( *)<!-- make: (\w+) ?(.*?) -->$", re.MULTILINE)
ROWS = {
    "random": "Random", "herding": "Herding", "kcenter": "K-center", "kmeans": "k-means medoids",
    "forgetting": "Forgetting", "grand": "GraNd", "dm": "DM", "dm_rescaled": "DM at AVDD's step length", "avdd": "AVDD",
    "davdd": "DAVDD", "imagebinddc": "ImageBindDC", "mdm": "MDM", "dc": "DC", "dsa": "DSA", "mtt": "MTT",
    "mtt_vl": "MTT-VL", "tesla_wbce": "TESLA", "lors": "LoRS",
}  # fmt: skip
"""What a method is called in the measured tables."""
PLACES = {
    "grid_digits": ("results.md", "grid_digits", "AV"),
    "av_mnist": ("results.md", "av_mnist", "AV"),
    "grid_digits, unpacked": ("results_imagebind.md", "Sound and picture: grid_digits", "AV"),
    "rooms": ("results_imagebind.md", "Depth and scene name: rooms", "depth"),
    "grid_s1, vectors": ("results_imagebind.md", "Sound and transcript: grid_s1", "Mean"),
    "flickr8k_1k, vectors": ("results_imagebind.md", "Picture and caption: flickr8k_1k", "Mean"),
    "flickr8k_1k, frozen tower": ("results_image_text.md", "A frozen tower, and heads that are trained", "Mean"),
    "flickr8k_1k, trained tower": ("results_image_text.md", "A small tower that is trained", "Mean"),
}
"""Measured tables: page, heading, the column that counts."""
LOOP = ("init", "factor", "lr", "momentum", "optimiser", "steps", "real_batch", "clip", "validate", "augment")
"""Settings of the run that a method's paper speaks of."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """What is generated, in its place."""
    up = "../" * page.file.src_uri.count("/")

    def made(match: re.Match[str]) -> str:
        indent, name, words = match.groups()
        if name not in MAKERS:
            raise PluginError(f"{page.file.src_uri}: nothing makes {name!r}")
        return textwrap.indent(linked(MAKERS[name](*shlex.split(words)), up), indent)

    return MAKE.sub(made, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name classes and formulas as Sphinx does; here code is enough."""
    return re.sub(r":(?:class|func|meth|mod|data|math):(?=<code>)", "", html)


def linked(text: str, up: str) -> str:
    """Docstrings name pages as files of the repository, and write code in two backticks."""
    text = re.sub(r"docs/((?:\w+/)*)(\w+)\.md", lambda m: f"[{m[2]}]({up}{m[1]}{m[2]}.md)", text)
    return re.sub(r"``(.+?)``", r"`\1`", text)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---- from the code


def all_methods() -> str:
    """Every method, one line each."""
    rows = []
    for name, method in methods().items():
        _, most = method.modalities
        needs = f"{method.modalities[0]}" if most == method.modalities[0] else f"{method.modalities[0]} or more"
        by = ", ".join(f"`{BUDGETS[kind]}`" for kind in method.by)
        rows.append([f"[`{name}`]({name}.md)", method.title, method.kind, by, needs])
    return table(["name", "what", "kind", "budget", "modalities"], rows)


def card(name: str) -> str:
    """What a method is and takes, in a line or two."""
    method = method_class(name)
    fewest, most = method.modalities
    needs = f"{fewest} or more modalities" if most is None else f"{fewest} to {most} modalities"
    needs = f"{fewest} modalities" if most == fewest else "any modalities" if (fewest, most) == (1, None) else needs
    by = " or ".join(f"`{BUDGETS[kind]}`" for kind in method.by)
    kind = {"coreset": "Coreset: real items are chosen", "control": "Control, to be compared with"}
    lines = f"**{kind.get(method.kind, 'Distillation')}** · budget {by} · {needs}"
    return lines if method.paper == "-" else f"{lines}\n\n*Paper:* {method.paper}."


def settings(name: str) -> str:
    """The method's own settings, and those of the loop that come with it."""
    method = method_class(name)
    told, sized = dict(_documented(method)), [method().for_budget(budget) for budget in budgets(method)]
    rows = []
    for f in dataclasses.fields(method):
        option = f"`--method.{f.name.replace('_', '-')}`"
        rows.append([option, over_budgets([getattr(s, f.name) for s in sized], method), told.get(f.name, "")])
    found = [folded(f"Settings of `{name}`", table(["setting", "default", "what, and whence"], rows))] if rows else []
    if method.kind != "coreset":
        found.append(folded("The loop it comes with, at the paper's size", loop(method)))
    return "\n\n".join(found) or "No settings of its own."


def loop(method: type[Method]) -> str:
    """Settings of the run with a method, and who says so. Presets for small media go over what is published."""
    published = [method.published(budget) for budget in budgets(method)]
    engine = {f.name: f.default for f in dataclasses.fields(RunSettings)}
    rows = []
    for name in LOOP:
        values = [found.get(name, method.defaults.get(name, engine[name])) for found in published]
        own = name in method.defaults or any(name in found for found in published)
        if own or engine[name] is not None:
            whose = "the method's" if own else "the engine's, as in AVDD"
            rows.append([f"`--{name.replace('_', '-')}`", over_budgets(values, method), whose])
    return table(["setting", "value", "whose"], rows)


def budgets(method: type[Method]) -> list[Budget]:
    """The published ones."""
    if method.by == ("pairs",):
        return [Budget(pairs=n) for n in (100, 200, 500)]
    return [Budget(per_class=n) for n in (1, 10, 20)]


def over_budgets(values: list[Any], method: type[Method]) -> str:
    """One value, or one for each published budget."""
    words = [shown(value) for value in values]
    if len(set(words)) == 1:
        return words[0]
    sizes = [budget.pairs or budget.per_class for budget in budgets(method)]
    return "; ".join(f"{word} at {size}" for word, size in zip(words, sizes, strict=True))


def fields(where: str, prefix: str = "--") -> str:
    """Every field of a settings class, ``package.module:Class``."""
    module, _, name = where.partition(":")
    kind = getattr(importlib.import_module(module), name)
    told = dict(_documented(kind))
    rows = [
        [f"`{prefix}{f.name.replace('_', '-')}`", shown(f.default), told.get(f.name, "")]
        for f in dataclasses.fields(kind)
    ]
    return table(["setting", "default", "what"], rows)


def shown(value: Any) -> str:
    """A default, as it is typed."""
    if value is None or value == () or value is dataclasses.MISSING:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if value == RunSettings.augment:
        return "DSA"
    if isinstance(value, tuple):
        return ", ".join(map(shown, dict.fromkeys(value)))  # sound, and everything else
    return "none" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def folded(title: str, text: str) -> str:
    """Long tables are folded, so that a card fits a screen."""
    kind = "???" if text.count("\n") > 9 else "???+"
    return f'{kind} note "{title}"\n\n' + textwrap.indent(text, "    ")


def of_recipes(name: str) -> str:
    """Published tables that have the method."""
    found = [r.name for r in recipes().values() if any(cell.method == name for cell in r.cells)]
    return ", ".join(f"`{recipe}`" for recipe in found) if found else "None: no table of these papers has it."


def protocols() -> str:
    """Every protocol and how its students are trained."""
    rows = []
    for p in PROTOCOLS.values():
        recipe: Mapping[str, Any] = p.recipe.to_dict()
        trained = f"{recipe['epochs']} epochs, batches of {recipe['batch']}, {recipe.get('optimiser', 'sgd')}"
        rows.append([f"`{p.name}` v{p.version}", p.description, trained, p.selection, p.source])
    return table(["protocol", "what a score means", "students", "scored", "source"], rows)


def all_recipes() -> str:
    """Every recipe, one line each."""
    rows = [[f"`{r.name}`", r.title, str(len(r.cells)), ", ".join(r.datasets)] for r in recipes().values()]
    return table(["recipe", "shows", "cells", "data sets"], rows)


# ---- from the measured tables


def measured(name: str) -> str:
    """What a method scored here, and random items beside it."""
    rows: list[list[str]] = []
    seen: set[str] = set()
    for place, (page, heading, column) in PLACES.items():
        found = {(row[head[0]], row["row"]): row for head, row in read(page, heading)}
        for (budget, label), row in found.items():
            twice = place == "grid_digits, unpacked" and budget in seen  # the same row in another table
            if label != ROWS[name] or twice:
                continue
            seen |= {budget} if place == "grid_digits" else set()
            kind = "pairs" if column == "Mean" else "per class"
            floor = found.get((budget, "Random"), {}).get(column, "")
            rows.append(
                [f"[{place}]({page}#{anchor(heading)})", f"{budget} {kind}", column, plain(row[column]), plain(floor),
                 row["sets x students"], row.get("s a set", "-")]
            )  # fmt: skip
    head = ["set", "budget", "score", "this method", "random items", "sets x students", "s a set"]
    text = table(head, rows) if rows else "Not measured here."
    return re.sub(r"\]\(results", "](../results", text)


def ladder(place: str) -> str:
    """The rows of a measured table, one column a budget."""
    page, heading, column = PLACES[place]
    cells: dict[str, dict[str, dict[str, str]]] = {}
    for head, row in read(page, heading):
        cells.setdefault(row["row"], {})[row[head[0]]] = row
    budgets = sorted({b for found in cells.values() for b in found} - {"all", "-"}, key=int)
    whole = [label for label, found in cells.items() if "all" in found]
    costed = any("s a set" in row for found in cells.values() for row in found.values())
    rows = []
    for label, found in cells.items():
        if label.startswith("*") or label in whole or not set(found) & set(budgets):
            continue
        scores = [plain(found[b][column]) if b in found else "" for b in budgets]
        cost = [found[b].get("s a set", "") if b in found else "" for b in budgets] if costed else []
        rows.append([label, *scores, *cost])
    if whole:
        upper = plain(cells[whole[0]]["all"][column])
        rows.append([f"*{whole[0]}*", *[upper] * len(budgets), *[""] * costed * len(budgets)])
    kind = "pairs" if column == "Mean" else "per class"
    head = ["row", *[f"{column}, {b} {kind}" for b in budgets], *[f"s a set, {b}" for b in budgets if costed]]
    return table(head, rows)


def read(page: str, heading: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The first table under a heading: its header and each row by column."""
    text = (DOCS / page).read_text(encoding="utf-8")
    _, found, after = text.partition(f"\n## {heading}\n")
    if not found:
        raise PluginError(f"{page} has no heading {heading!r}")
    block = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    if block is None:
        raise PluginError(f"{page} has no table under {heading!r}")
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block[0].splitlines()]
    for row in rows:
        yield head, dict(zip(head, row, strict=False))


def plain(cell: str) -> str:
    """A figure without the emphasis it has in its table."""
    return cell.replace("*", "")


def anchor(heading: str) -> str:
    """Where a heading is linked to."""
    return re.sub(r"[^\w-]+", "-", heading.lower().replace(":", "").replace(",", "")).strip("-")


MAKERS: dict[str, Callable[..., str]] = {
    "methods": all_methods, "card": card, "settings": settings, "fields": fields, "recipes": of_recipes,
    "all_recipes": all_recipes, "protocols": protocols, "measured": measured, "ladder": ladder,
}  # fmt: skip

"""What each verb does: read the options, call the library, show the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.cli import show
from limbeck.cli.fields import given, seeds
from limbeck.errors import ConfigError, StudyError, nearest

if TYPE_CHECKING:
    from jsonargparse import Namespace

__all__ = ["VERBS"]


def _distill(options: Namespace) -> None:
    from limbeck.engine.launch import speaks
    from limbeck.engine.run import distill

    name, chosen, settings = _told(options)
    if not chosen.out:
        raise ConfigError("no --out", hint="Say which folder the run is to fill.")
    synthetic = distill(name, out=chosen.out, resume=chosen.resume, progress=True, **settings)
    if speaks():
        show.done(synthetic, Path(chosen.out))


def _estimate(options: Namespace) -> None:
    from limbeck.engine.estimate import estimate
    from limbeck.engine.plan import plan

    name, chosen, settings = _told(options)
    data, method_settings = settings.pop("data", None), settings.pop("method_settings")
    if not data:
        raise ConfigError("no --data", hint="Name a data set or a store's folder.")
    show.cost(estimate(plan(name, data, settings=settings, method_settings=method_settings)), chosen.json)


def _evaluate(options: Namespace) -> None:
    from limbeck.evaluation.run import evaluate

    result = evaluate(
        options.target,
        protocol=options.protocol,
        students=tuple(options.students.split(",")) if options.students else None,
        seeds=seeds(options.seeds),
        data=options.data,
        whole=options.whole,
        whole_seeds=seeds(options.whole_seeds),
        modalities=options.modalities.split(",") if options.modalities else None,
        fusion=options.fusion,
        weights=options.weights,
        save_weights=options.save_weights,
        channels=options.channels,
        captions=options.captions,
        width=options.width,
        pretrained=options.pretrained,
        as_published=options.as_published,
        select=options.select,
        device=options.device,
        kernels=options.kernels,
        precision=options.precision,
        threads=options.threads,
        split=options.split,
        at_once=options.at_once,
        progress=True,
    )
    show.scores(result, options.json)


def _compare(options: Namespace) -> None:
    from limbeck.evaluation.compare import compare

    found = compare(
        options.results,
        metric=options.metric,
        baseline=options.baseline,
        protocol=options.protocol,
        as_published=options.as_published,
    )
    show.comparison(found, options.format, options.json)


def _study(options: Namespace) -> None:
    from limbeck.studies import study

    found = study(
        options.file, options.out, executor=options.executor, workers=options.workers, address=options.address,
        resume=options.resume, progress=True,
    )  # fmt: skip
    show.study(found, Path(options.out), options.json)
    failed = [cell for cell in found["cells"] if cell["state"] == "failed"]
    if failed:
        kind = ConfigError if all(cell["error"]["user"] for cell in failed) else StudyError
        lines = [f"{cell['name']}: {cell['error']['kind']}: {cell['error']['what']}" for cell in failed]
        raise kind(f"{len(failed)} of {len(found['cells'])} cells failed", hint="\n  ".join(lines))


def _bank(options: Namespace) -> None:
    from limbeck.engine.banks import build_banks

    about = build_banks(
        options.data,
        members=options.members,
        decouplers=options.decouplers,
        modalities=options.modalities.split(",") if options.modalities else None,
        channels=options.channels,
        mapping=options.mapping,
        hidden=options.hidden,
        device=options.device,
        kernels=options.kernels,
        precision=options.precision,
        threads=options.threads,
        at_once=options.at_once,
        progress=True,
    )
    show.banks(about, options.json)


def _prepare(options: Namespace) -> None:
    from limbeck.data.prepare import PrepareSettings, prepare
    from limbeck.data.settings import preset

    below = preset(options.preset) if options.preset else {}
    settings = PrepareSettings(**{**below, **given(options, PrepareSettings)})
    store = prepare(
        options.reader, options.root, options.out,
        settings=settings, on_error=options.on_error, workers=options.workers, progress=True,
    )  # fmt: skip
    show.summary(store.summary(), options.json)


def _embed(options: Namespace) -> None:
    from limbeck.banks.embed import embed_store

    store = embed_store(
        options.data, options.encoder, options.out,
        modalities=options.modalities.split(",") if options.modalities else None, captions=options.captions,
        pretrained=options.pretrained, width=options.width, precision=options.precision, device=options.device,
        progress=True,
    )  # fmt: skip
    show.summary(store.summary(), options.json)


def _import(options: Namespace) -> None:
    from limbeck.data import open_data
    from limbeck.synthetic.foreign import import_avdd

    if options.source != "avdd":
        raise ConfigError(f"nothing is imported from {options.source!r}", hint=nearest(options.source, ("avdd",)))
    synthetic = import_avdd(
        options.root, open_data(options.data), options.out,
        experiment=options.experiment, step=options.step, factor=options.factor,
    )  # fmt: skip
    show.done(synthetic, Path(options.out))


def _report(options: Namespace) -> None:
    from limbeck.report import write_report, write_study_report

    out = Path(options.out) if options.out else None
    if (Path(options.run) / "comparison.json").exists():
        print(write_study_report(Path(options.run), out))
        return
    print(write_report(Path(options.run), out, projection=options.projection, progress=True))


def _export(options: Namespace) -> None:
    from limbeck.export import export

    usual = "export" if options.to == "folder" else f"export-{options.to}"
    out = Path(options.out) if options.out else Path(options.run) / usual
    print(export(Path(options.run), out, to=options.to, overwrite=options.overwrite))
    if options.to == "huggingface":
        show.publishing(out)


def _pack(options: Namespace) -> None:
    from limbeck.synthetic.pack import pack

    show.done(pack(options.run, options.out, storage=options.storage), Path(options.out))


def _inspect(options: Namespace) -> None:
    from limbeck.inspection import inspect

    show.summary(inspect(Path(options.target)), options.json)


def _methods(options: Namespace) -> None:
    from limbeck.methods import methods

    show.cards([m.card() for m in methods().values()], ("name", "kind", "title", "paper"), options.json)


def _datasets(options: Namespace) -> None:
    from limbeck.data.catalogue import datasets

    show.cards(datasets(), ("name", "how", "description"), options.json)


def _protocols(options: Namespace) -> None:
    from limbeck.evaluation.protocols import PROTOCOLS

    show.cards([p.card() for p in PROTOCOLS.values()], ("name", "version", "description"), options.json)


def _recipes(options: Namespace) -> None:
    from limbeck.recipes import listing, recipe
    from limbeck.recipes.results import COLUMNS, rows
    from limbeck.recipes.run import run_recipe

    run, *names = options.words if options.words[:1] == ["run"] else ["", *options.words]
    places = tuple(options.cell.split(",")) if options.cell else ()
    if len(names) > 1 or (run and not names):
        hint = "`limbeck recipes` lists the tables, `limbeck recipes run TABLE --data STORE` runs one."
        raise ConfigError(f"recipes takes one table, not {len(names)}", hint=hint)
    if not names:
        tables = listing.list_recipes()
        show.table(tables, None, listing.TABLES, listing.recipe_rows(tables), options.json)
    elif not run:
        cells = listing.list_cells(recipe(names[0]), places)
        show.table(cells, listing.title(recipe(names[0])), listing.CELLS, listing.cell_rows(cells), options.json)
    else:
        if not options.data:
            raise ConfigError("no --data", hint="Name a data set or a store's folder.")
        machine = {name: options[name] for name in ("device", "kernels", "precision", "threads")}
        result = run_recipe(
            names[0], options.data, cells=places, scale=options.scale, out=options.out, weights=options.weights,
            seeds=seeds(options.seeds) if options.seeds else None, progress=True, **machine,
        )  # fmt: skip
        show.table(result, f"{result['name']}: {result['title']}", COLUMNS, rows(result), options.json)
        if failed := [cell["name"] for cell in result["cells"] if "error" in cell]:
            raise ConfigError(f"not run: {', '.join(failed)}", hint="The lines above say why; the rest is kept.")


def _doctor(options: Namespace) -> None:
    from limbeck.doctor import diagnose

    show.summary(diagnose(), options.json)


def _told(options: Namespace) -> tuple[str, Namespace, dict[str, Any]]:
    """Method name, its options, and the settings among them: what was typed, over what the --config file says."""
    from limbeck.config import read_settings
    from limbeck.engine.settings import RunSettings
    from limbeck.methods import method_class

    name = options.method_name
    chosen = options[name]
    known = [f.name for f in dataclasses.fields(RunSettings)] + ["data", "method"]
    told = read_settings(Path(chosen.config), known) if chosen.config else {}
    method = told.pop("method", None) or {}
    for key, value, kind in (("method", method, dict), ("data", told.get("data", ""), str)):
        if not isinstance(value, kind):
            raise ConfigError(f"{key} is {value!r}", where=chosen.config)
    typed = chosen.get("method")
    if typed is not None:
        method |= given(typed, method_class(name))
    told |= given(chosen, RunSettings) | ({"data": chosen.data} if chosen.data else {})
    return name, chosen, {**told, "method_settings": method}


VERBS: dict[str, Callable[[Any], None]] = {
    "distill": _distill,
    "evaluate": _evaluate,
    "compare": _compare,
    "study": _study,
    "bank": _bank,
    "prepare": _prepare,
    "embed": _embed,
    "import": _import,
    "report": _report,
    "export": _export,
    "pack": _pack,
    "inspect": _inspect,
    "estimate": _estimate,
    "methods": _methods,
    "datasets": _datasets,
    "protocols": _protocols,
    "recipes": _recipes,
    "doctor": _doctor,
}

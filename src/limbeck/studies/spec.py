"""What a study is: a file of methods, budgets, seeds and ways of scoring, read strictly."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from limbeck.config import build, read_settings, seeds, settings_hash
from limbeck.errors import ConfigError, nearest
from limbeck.studies.scoring import Scoring, read_scoring

__all__ = ["FP32", "Cell", "Chosen", "Study", "read_study", "slug"]

FP32 = "fp32"
KEYS = ("name", "data", "per_class", "pairs", "methods", "seeds", "settings", "storage", "evaluate", "baseline")
OWN = ("per_class", "pairs", "bytes", "seed")
"""Settings of a run that the study says itself."""
LONG = 100
"""Letters of a label as a folder's name, which a file system takes with budget, seed and storage behind it."""
CHOICE = ("steps", "init")
"""Settings of all runs that a coreset, which chooses real items and takes no steps, does not hear."""


@dataclass(frozen=True)
class Chosen:
    """A method of a study.

    Args:
        label: what its rows are called; one name under other settings is another label.
        name: of the method.
        settings: of its runs, those of all runs below its own.
        method_settings: of the method itself.
        bytes_of: the label of a method: real items in as many bytes as its set at the same budget and seed.
    """

    label: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    method_settings: Mapping[str, Any] = field(default_factory=dict)
    bytes_of: str | None = None


@dataclass(frozen=True)
class Cell:
    """One set of a study, and its scores.

    Args:
        name: of its run folder.
        method: who makes it.
        budget: setting and size, such as ("per_class", 10).
        storage: how the set's numbers are stored; of real items in the bytes of another set, how that one's are.
        made_of: the cell that comes first: whose set it is, stored otherwise, or whose bytes it has; None for none.
    """

    name: str
    method: Chosen
    budget: tuple[str, int]
    seed: int
    storage: str = FP32
    made_of: str | None = None

    @property
    def told(self) -> dict[str, Any]:
        """JSON-ready: all that decides its set."""
        return {
            "label": self.method.label,
            "method": self.method.name,
            "budget": {"kind": self.budget[0].replace("_", " "), "size": self.budget[1]},
            "seed": self.seed,
            "storage": self.storage,
            "settings": {**self.method.settings, "method": dict(self.method.method_settings)},
            **({"bytes_of": self.method.bytes_of} if self.method.bytes_of else {}),
        }


@dataclass(frozen=True)
class Study:
    """Methods x budgets x seeds x storage, each scored in the same ways.

    Args:
        data: a data set's name, or a store's folder.
        budget: "per_class" or "pairs". sizes: of it.
        storage: how sets are stored; "fp32" is there always, the others are made of it.
        evaluate: ways of scoring; each is a table of its own.
        baseline: a method's label, from which differences are told.
    """

    name: str
    data: str
    methods: tuple[Chosen, ...]
    budget: Literal["per_class", "pairs"]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    storage: tuple[str, ...] = (FP32,)
    evaluate: tuple[Scoring, ...] = (Scoring(),)
    baseline: str | None = None

    def cells(self) -> Iterator[Cell]:
        """Seed after seed, so that a table has all its rows early."""
        for seed in self.seeds:
            for size in self.sizes:
                for method in self.methods:
                    for storage in self.storage:
                        yield self._cell(method, size, seed, storage)

    def _cell(self, method: Chosen, size: int, seed: int, storage: str) -> Cell:
        def name(label: str, storage: str) -> str:
            return f"{slug(label)}-{size}-s{seed}" + (f"-{storage}" if storage != FP32 else "")

        first = name(method.label, FP32) if storage != FP32 else None
        if method.bytes_of is not None:
            first = name(method.bytes_of, storage)
        own = str(method.settings.get("storage", storage))
        return Cell(name(method.label, storage), method, (self.budget, size), seed, own, made_of=first)

    @property
    def told(self) -> dict[str, Any]:
        """JSON-ready, as the study's file could say it."""
        return {
            "name": self.name,
            "data": self.data,
            self.budget: list(self.sizes),
            "methods": [dataclasses.asdict(method) for method in self.methods],
            "seeds": list(self.seeds),
            "storage": list(self.storage),
            "evaluate": [scoring.given for scoring in self.evaluate],
            "baseline": self.baseline,
        }

    @property
    def hash(self) -> str:
        """Of all that decides its numbers, the data apart."""
        return settings_hash([cell.told for cell in self.cells()], [scoring.given for scoring in self.evaluate])


def slug(label: str) -> str:
    """A label as a folder's name: ``avdd, factor 1`` is ``avdd-factor-1``."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def read_study(source: str | Path | Mapping[str, Any]) -> Study:
    """The study in a YAML or JSON file, or in a mapping like one.

    Raises ConfigError on an unknown key, name or setting, naming the nearest known one; nothing has been run then.
    """
    where = None if isinstance(source, Mapping) else Path(source)
    told = dict(source) if isinstance(source, Mapping) else read_settings(Path(source), KEYS)
    for key in told:
        if key not in KEYS:
            raise ConfigError(f"unknown setting {key}", where=where, hint=nearest(str(key), KEYS))
    budget, sizes = _budget(told, where)
    settings = _mapping(told.get("settings"), "settings")
    methods = _methods(told.get("methods"), settings)
    study = Study(
        name=_text(told, "name") or (where.stem if where else "study"),
        data=_text(told, "data") or "",
        methods=methods,
        budget=budget,
        sizes=sizes,
        seeds=_seeds(told.get("seeds", 0)),
        storage=_storage(told.get("storage"), methods),
        evaluate=read_scoring(told.get("evaluate")),
        baseline=_text(told, "baseline"),
    )
    if not study.data:
        raise ConfigError("no data", where=where, hint="Say `data: digits`, or a store's folder.")
    labels = [method.label for method in methods]
    if study.baseline is not None and study.baseline not in labels:
        raise ConfigError(f"no method {study.baseline!r}", where="baseline", hint=nearest(study.baseline, labels))
    return study


def _budget(told: Mapping[str, Any], where: Path | None) -> tuple[Literal["per_class", "pairs"], tuple[int, ...]]:
    kinds: tuple[Literal["per_class", "pairs"], ...] = ("per_class", "pairs")
    given = [kind for kind in kinds if told.get(kind) is not None]
    if len(given) != 1:
        raise ConfigError(
            "a study's budgets are either per class or in pairs", where=where,
            hint="Say `per_class: [1, 10]`, or `pairs: [100, 500]`.",
        )  # fmt: skip
    return given[0], _whole_numbers(told[given[0]], given[0], least=1)


def _seeds(value: Any) -> tuple[int, ...]:
    return tuple(seeds(value)) if isinstance(value, str) else _whole_numbers(value, "seeds", least=0)


def _whole_numbers(value: Any, name: str, least: int) -> tuple[int, ...]:
    found = list(value) if isinstance(value, (list, tuple, range)) else [value]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= least for n in found)
    if not found or not whole or len(set(found)) < len(found):
        raise ConfigError(f"{name} is {value!r}", hint=f"It takes whole numbers from {least}, each once.")
    return tuple(found)


def _methods(value: Any, common: Mapping[str, Any]) -> tuple[Chosen, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ConfigError("no methods", where="methods", hint="Name some: `methods: [random, avdd]`.")
    _run_settings(common, "settings.")
    found = [_method(one, common) for one in value]
    slugs: dict[str, str] = {}
    for method in found:
        name = slug(method.label)
        if not name or name in slugs:
            what = f"{method.label!r} and {slugs[name]!r} would share a folder" if name else "a label has no letter"
            raise ConfigError(what, where="methods", hint="Give each its own `label`.")
        if len(name) > LONG or not method.label.isprintable():
            what = f"{method.label[:40]!r} ... is too long, or no line of a table"
            raise ConfigError(what, where="methods", hint="Give it a short `label`.")
        slugs[name] = method.label
    labels = [method.label for method in found if method.bytes_of is None]
    for method in found:
        if method.bytes_of is not None and method.bytes_of not in labels:
            hint = nearest(method.bytes_of, labels)
            raise ConfigError(f"no method {method.bytes_of!r}", where=f"methods: {method.label}: bytes_of", hint=hint)
    return tuple(found)


def _method(value: Any, common: Mapping[str, Any]) -> Chosen:
    from limbeck.methods import method_class

    told = {"name": value} if isinstance(value, str) else _mapping(value, "methods")
    for key in told:
        if key not in (known := ("name", "label", "settings", "bytes_of")):
            raise ConfigError(f"unknown key {key!r} of a method", where="methods", hint=nearest(key, known))
    name = _text(told, "name")
    if not name:
        raise ConfigError("a method without a name", where="methods", hint="Say {name: avdd, settings: {...}}.")
    kind, label = method_class(name), _text(told, "label") or name
    own = _mapping(told.get("settings"), f"methods: {label}")
    mine = {key.removeprefix("method."): v for key, v in own.items() if key.startswith("method.")}
    settings = {key: v for key, v in own.items() if not key.startswith("method.")}
    _run_settings(settings, f"methods: {label}: ")
    build(kind, mine, where=f"methods: {label}: method.")
    if kind.kind == "coreset":
        common = {key: v for key, v in common.items() if key not in CHOICE}
    bytes_of = _text(told, "bytes_of")
    if bytes_of is not None and "bytes" not in kind.by:
        raise ConfigError(f"{name} takes no budget in bytes", where=f"methods: {label}: bytes_of", hint="random does.")
    return Chosen(label, name, {**common, **settings}, mine, bytes_of)


def _run_settings(values: Mapping[str, Any], where: str) -> None:
    from limbeck.engine.settings import RunSettings

    for key in OWN:
        if key in values:
            hint = {"seed": "Say `seeds` beside `methods`.", "bytes": "Say `bytes_of: LABEL` of the method."}
            raise ConfigError(f"{where}{key} is the study's own", hint=hint.get(key, f"Say `{key}` beside `methods`."))
    build(RunSettings, values, where=where)


def _storage(value: Any, methods: tuple[Chosen, ...]) -> tuple[str, ...]:
    from limbeck.engine.settings import RunSettings

    given = [value] if isinstance(value, str) else value or []
    if not isinstance(given, (list, tuple)):
        raise ConfigError(f"storage is {value!r}", hint="It takes words, such as [fp32, uint8].")
    for name in given:
        if name != FP32:
            build(RunSettings, {"storage": name})
    found = tuple(dict.fromkeys((FP32, *given)))
    if len(found) > 1:
        for method in methods:
            if "storage" in method.settings:
                raise ConfigError(
                    f"{method.label}: its sets are stored in several ways and in one", where="storage",
                    hint="Leave `storage` out of the settings, or out of the study.",
                )  # fmt: skip
    return found


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{value!r} holds no settings by name", where=where)
    return dict(value)


def _text(told: Mapping[str, Any], key: str) -> str | None:
    value = told.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{key} is {value!r}", hint="It takes a text.")
    return value

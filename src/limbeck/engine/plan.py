"""A run before it starts: everything it will do, settled and checked."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.augment import DSA
from limbeck.config import build, settings_hash
from limbeck.data import open_data
from limbeck.encoders import PUBLISHED_WIDTH
from limbeck.engine.numerics import Numerics
from limbeck.engine.paired import SETTINGS, Paired, by_pairs, settled
from limbeck.engine.settings import FRESH, LOOKING, NOISE, RunSettings, chosen_modalities, resolve
from limbeck.engine.sight import Sight, seen_through, sight
from limbeck.errors import ConfigError, MissingDependencyError, nearest
from limbeck.methods import Method, method_class, methods
from limbeck.selection import SELECTIONS, check_selection

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.modalities import Modality

__all__ = ["Plan", "pixel_rates", "plan", "present", "provenance", "versions"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything a run will do, before it does any of it."""

    method: Method
    store: PairedStore
    data: str
    settings: RunSettings
    numerics: Numerics
    made: dict[bool, Paired] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    """By whether they are for a rehearsal only, the pairs and towers of a run by pairs."""
    sights: dict[bool, Sight] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    """By the same, what its steps look through."""

    @property
    def by_pairs(self) -> bool:
        """Whether the run looks at pairs as such."""
        return by_pairs(self.settings, self.modalities, self.store)

    @property
    def modalities(self) -> dict[str, Modality]:
        """Those the run uses, in the store's order."""
        return chosen_modalities(self.store, self.settings.modalities)

    @property
    def config(self) -> dict[str, Any]:
        """As ``config.json`` holds it."""
        settings = {**dataclasses.asdict(self.settings), "method": present(dataclasses.asdict(self.method))}
        return {"data": self.data, **present(settings)}

    @property
    def hash(self) -> str:
        """What a checkpoint belongs to: all that decides the result."""
        # what changes no bit, and what is settled in the numerics
        free = {"data", "checkpoint_every", "tensorboard", "cache_limit", "snapshots"}
        free |= {"threads", "group", "real_group", "device", "kernels"}
        if not self.by_pairs:
            free |= set(SETTINGS)
        if not self.by_pairs and self.settings.encoder == FRESH:
            free.add("pretrained")
        if self.settings.storage == "fp32":  # as it was before there was any other
            free.add("storage")
        if self.settings.cache_dtype == "fp32":  # in half precision what is kept is rounded
            free.add("cache")
        config = {k: v for k, v in self.config.items() if k not in free}
        return settings_hash(self.method.name, config, self.store.data_hash, self.numerics.to_dict())


def plan(
    method: str,
    data: str | Path | PairedStore,
    *,
    settings: Mapping[str, Any],
    method_settings: Mapping[str, Any] | None = None,
    numerics: Numerics | None = None,
) -> Plan:
    """Resolve a run's settings and check that they fit the data.

    Args:
        method: name of a method.
        data: a data set's name, a store's folder or a store.
        settings: of the run, by name; see :class:`RunSettings`.
        method_settings: of the method, by name.
        numerics: of the run that is resumed; settled for this machine by default.

    Raises:
        ConfigError: settings that do not exist or do not fit; DataError: data that does not suffice.
    """
    kind = method_class(method)
    if settings.get("tensorboard") and importlib.util.find_spec("tensorboard") is None:
        raise MissingDependencyError("TensorBoard is not installed", hint="pip install 'limbeck[tensorboard]'")
    store = open_data(data)
    run = resolve(kind, store, settings)
    budget = run.budget
    chosen = build(kind, method_settings or {}, where="method.").for_budget(budget)
    modalities = chosen_modalities(store, run.modalities)
    chosen.check(modalities, budget)
    if budget.per_class is not None and not store.classes:
        raise ConfigError("this set has no classes", where=store.path, hint="Use --pairs.")
    if budget.bytes is not None and run.factor > 1:
        raise ConfigError("real items ship whole", where="--factor", hint="Use --factor 1 with --bytes.")
    pairwise = by_pairs(run, modalities, store)
    _refuse_unpaired(chosen, run, pairwise)
    if pairwise:  # whether there are enough of them is known when captions have been counted
        run = settled(run, store, modalities)
    elif run.init != NOISE:
        budget.check(store, run.factor)
    elif budget.per_class is None:
        raise ConfigError(
            "noise has no pairs to begin with", where="--init", hint="Use --per-class, or another --init."
        )
    if run.init not in (known := (*SELECTIONS, NOISE)):
        raise ConfigError(f"unknown selection {run.init!r}", where="--init", hint=nearest(run.init, known))
    if run.init != NOISE:
        check_selection(run.init, by_class=budget.by_class(len(store.classes)), pairwise=pairwise)
    if run.augment:
        DSA(tuple(run.augment.split("_")))
    _refuse_unheard(chosen, run)
    _refuse_unseen(chosen, run, modalities)
    flat = [name for name, m in modalities.items() if not m.spatial]
    if run.factor > 1 and flat:
        raise ConfigError(
            f"a factor of {run.factor} needs height and width; {flat[0]!r} has none",
            hint="Use --factor 1, or choose --modalities without it.",
        )
    fresh = run.encoder == FRESH and not pairwise
    grouped = kind.objective in LOOKING and fresh
    machine = numerics or Numerics.resolve(run, modalities, max(1, len(store.classes)), grouped=grouped)
    name = data if isinstance(data, str) else str(getattr(data, "path", data))
    return Plan(chosen, store, name, run, machine)


def _refuse_unheard(method: Method, run: RunSettings) -> None:
    """Raises ConfigError on settings that the method's steps would not follow."""
    if run.stepping == "per_class" and method.objective == "trajectories":
        raise ConfigError(
            f"{method.name} looks at all classes at once and cannot step after each", where="--stepping",
            hint="Use --stepping step.",
        )  # fmt: skip
    if run.stepping == "per_class" and run.optimiser == "adam":
        raise ConfigError(
            "Adam counts its steps, and one after each class is none", where="--stepping", hint="Use --optimiser sgd."
        )
    if run.streams == "authors" and (method.objective == "trajectories" or method.bank is not None):
        raise ConfigError(
            f"{method.name} looks through trained networks, which AVDD's seeds do not name", where="--streams",
            hint="Use --streams independent.",
        )  # fmt: skip
    if run.real_statistics == "class" and method.objective == "trajectories":
        raise ConfigError(
            f"{method.name} looks at no real items once its experts are there", where="--real-statistics",
            hint="Leave it out.",
        )  # fmt: skip


def _refuse_unseen(method: Method, run: RunSettings, modalities: Mapping[str, Modality]) -> None:
    """Raises ConfigError on an encoder that the method's steps do not look through, and on what cannot be kept as it
    is."""
    if run.encoder != FRESH and (method.objective not in LOOKING or method.bank is not None) and run.steps:
        raise ConfigError(
            f"{method.name} looks through networks of its own, which are trained on the way", where="--encoder",
            hint=f"Leave it out, or use a method that takes any encoder: {', '.join(_free())}.",
        )  # fmt: skip
    for name in run.fixed:
        if name not in modalities:
            raise ConfigError(f"the run has no modality {name!r}", where="--fixed", hint=nearest(name, modalities))
    if run.steps and set(run.fixed) == set(modalities):
        raise ConfigError("nothing is left to be learnt", where="--fixed", hint="Leave one modality free.")
    if run.fixed and run.init == NOISE:
        raise ConfigError(
            "what is fixed would stay noise", where="--fixed", hint="Begin with real items: --init random."
        )
    if run.fixed and method.objective not in LOOKING:
        raise ConfigError(f"{method.name} learns every modality", where="--fixed", hint="Leave it out.")


def _free() -> list[str]:
    found = {n: m for n, m in methods().items() if m.objective in LOOKING and m.kind != "coreset"}
    return [name for name, method in found.items() if method().bank is None]


def _refuse_unpaired(method: Method, run: RunSettings, pairwise: bool) -> None:
    """Raises ConfigError on settings of runs by pairs where there are none, and on others where there are."""
    looks = method.objective in ("pairs", "pair_trajectories")
    if not pairwise and (looks or (run.pairs is not None and run.steps)):
        if run.factor == 1:
            raise ConfigError(
                f"{method.name} takes pairs of two modalities", where="--modalities", hint="Name two by --modalities."
            )
        raise ConfigError(f"{method.name} takes whole pairs", where="--factor", hint="Use --factor 1.")
    if not pairwise and run.encoder == FRESH and run.pretrained != "auto":
        raise ConfigError(
            "nothing of this run starts from weights", where="--pretrained", hint="Name an --encoder, or leave it out."
        )
    if not pairwise and run.validate != "none":
        raise ConfigError(
            "only runs by pairs choose their step by the validation split", where="--validate", hint="Leave it out."
        )
    if looks and run.lr_rule == "width":
        raise ConfigError(f"{method.name} has no width to take a rate by", where="--lr-rule", hint="Use plain.")
    if looks and run.augment:
        raise ConfigError(f"{method.name} augments no synthetic pair", where="--augment", hint="Leave it out.")


def pixel_rates(planned: Plan, *, rehearse: bool = False) -> dict[str, float]:
    """SGD's rate by modality: lr, x 6272 / D under the "width" rule, x what the method asks for.

    Args:
        rehearse: make no encoder that is not there yet: to measure a step.
    """
    settings, rule = planned.settings, dict.fromkeys(planned.modalities, 1.0)
    if settings.lr_rule == "width":
        still = settings.encoder != FRESH and settings.steps
        encoders = (
            sight(planned, rehearse=rehearse).encoders
            if still
            else planned.numerics.encoders(planned.modalities, settings.channels)
        )
        rule = {n: PUBLISHED_WIDTH / encoder.embedding for n, encoder in encoders.items()}
    return {
        n: 0.0 if n in settings.fixed else settings.lr * rule[n] * planned.method.rate_multiple(m)
        for n, m in planned.modalities.items()
    }


def provenance(planned: Plan) -> dict[str, Any]:
    """What the set says of where it comes from."""
    return {
        "method": planned.method.name,
        "settings": {k: v for k, v in planned.config.items() if k != "data"},
        "seed": planned.settings.seed,
        "data": {"name": planned.store.name, "hash": planned.store.data_hash, "path": planned.data},
        "encoders": seen_through(planned),
        "pixel_rates": pixel_rates(planned),
        "numerics": planned.numerics.to_dict(),
        "versions": versions(),
        "run_hash": planned.hash,
    }


def versions() -> dict[str, str]:
    """Of what computes."""
    import platform

    import numpy
    import torch

    from limbeck import __version__

    return {
        "limbeck": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def present(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-ready, without what was left open."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items() if v is not None}

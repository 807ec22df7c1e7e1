"""Through what items are looked at: the run's frozen encoder, or a network trained once on the whole real set."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limbeck.data import cache_root
from limbeck.evaluation.pair_settings import FRESH
from limbeck.progress import Progress
from limbeck.rng import key

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.data.real_items import RealItems
    from limbeck.synthetic import SyntheticSet
    from limbeck.training.pair_data import PairData

__all__ = ["Eye", "TooSlow", "eye_of"]

UPDATES = 600
"""At most, of a network that a page alone looks through [choice]: all that a small set's whole training has."""
VERSION, SEED = 1, 0
WARM, FEW, BATCH = 2, 4, 32
"""Items of the three steps that tell how long a training will take; the first alone is slower than it will be."""
SHOWN = 900
"""Items a modality that pass an encoder for one page, about."""


@dataclass(frozen=True)
class Eye:
    """``embed``: items of a modality, (N, *shape) normalised and on the device -> (N, D). ``told``: what it is, for the
    page."""

    told: str
    embed: Callable[[str, Tensor], Tensor]


class TooSlow(Exception):
    """It would take longer than was given: about so many ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"about {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class _Training:
    """One training on the whole real set.

    Args:
        about: all that its weights hang on but data and machine, JSON-ready. shapes: of the weights.
        updates, batch: how many, and of how many items.
        run: takes a report of updates so far, and gives the weights.
        few: trains on so many items for one step.
        before: seconds of what is done once before the first step.
    """

    about: Sequence[Any]
    shapes: Mapping[str, tuple[int, ...]]
    updates: int
    batch: int
    run: Callable[[Callable[[int], None]], Mapping[str, Tensor]]
    few: Callable[[int], object]
    before: Callable[[], float] = lambda: 0.0


def eye_of(
    synthetic: SyntheticSet,
    items: RealItems,
    *,
    device: str = "cpu",
    limit: float | None = None,
    progress: bool = False,
) -> Eye:
    """What shows real and synthetic items alike.

    It is the frozen encoder of the run where the run names one; else a ConvNet a modality (by pairs: two towers, the
    set's own) trained on the whole training split as the protocol of the set trains its whole-data student of seed 0,
    but for at most ``UPDATES`` updates. It is kept in the cache folder.

    Args:
        items: the training split that the set was made from.
        limit: seconds it may take here, estimated from a few steps; any by default.

    Raises:
        TooSlow: it is not in the cache and would take longer than ``limit``.
        LimbeckError: weights of an encoder are not there, or the training fails.
    """
    told = synthetic.provenance.get("settings")
    settings: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    if str(settings.get("encoder") or FRESH) != FRESH:
        return _frozen(items, settings, device, limit)
    if items.pairs is None:
        return _student(items, settings, device, limit, progress)
    return _towers(synthetic, items, settings, device, limit, progress)


def _frozen(items: RealItems, settings: Mapping[str, Any], device: str, limit: float | None) -> Eye:
    import torch

    from limbeck.banks.frozen import frozen_encoders

    source = items.store if items.pairs is None else items.pairs
    frozen = frozen_encoders(
        source, items.modalities, str(settings["encoder"]),
        pretrained=str(settings.get("pretrained") or "auto"), device=device,
    )  # fmt: skip

    def embed(modality: str, x: Tensor) -> Tensor:
        return frozen.embed(modality, x)

    if limit is not None:
        began = time.monotonic()
        for name in items.modalities:
            embed(name, items.batch(name, torch.arange(FEW), device))
        _check((time.monotonic() - began) / FEW * SHOWN, limit)
    return Eye(f"the run's frozen encoder {frozen.name}", embed)


def _student(items: RealItems, settings: Mapping[str, Any], device: str, limit: float | None, progress: bool) -> Eye:
    from limbeck.encoders.build import fitting_channels
    from limbeck.evaluation.protocols import protocol
    from limbeck.evaluation.students import build_student
    from limbeck.training import Rows, train

    channels = int(settings.get("channels") or fitting_channels(items.modalities))
    student = build_student("convnet", items.modalities, len(items.store.classes), channels=channels)
    data = Rows.labelled(items.store, "train", items.modalities, device)
    whole: Any = protocol("recognition-avdd").recipe
    batches = -(-len(data) // whole.batch)
    recipe = _capped(whole, batches)
    training = _Training(
        about=[student.id, [m.to_dict() for m in items.modalities.values()], recipe.to_dict()],
        shapes={name: tuple(w.shape) for name, w in student.init(SEED).items()},
        updates=batches * recipe.epochs,
        batch=recipe.batch,
        run=lambda report: train(student, data, recipe, [SEED], device=device, report=report)[0],
        few=lambda n: train(
            student, Rows(items.store, data.rows[:n], items.modalities, device), _once(recipe), [SEED], device=device
        ),
    )
    weights = _kept(training, items.store.data_hash, device, limit, progress)
    told = f"a ConvNet of {channels} channels a modality trained on the whole real set"
    return Eye(f"{told}, {_length(recipe, whole, training)}", lambda name, x: student.embed(weights, {name: x})[name])


def _towers(
    synthetic: SyntheticSet,
    items: RealItems,
    settings: Mapping[str, Any],
    device: str,
    limit: float | None,
    progress: bool,
) -> Eye:
    from limbeck.encoders.build import fitting_channels
    from limbeck.evaluation.pair_settings import TRAINED_TOWERS, default_protocol, settle_pairs
    from limbeck.evaluation.pair_trial import PairTrial
    from limbeck.evaluation.protocols import protocol
    from limbeck.training.pairs import train_pairs

    rules = protocol(default_protocol(synthetic, items.store))
    rules = rules if rules.task == "pairs" else protocol(TRAINED_TOWERS)
    names = list(items.modalities)
    free: dict[str, Any] = dict.fromkeys(("students", "captions", "width", "pretrained"))
    settled = settle_pairs(synthetic, items.store, names, rules, select="last", **free)
    channels = int(settings.get("channels") or fitting_channels(items.modalities))
    trial = PairTrial(
        None, items.store, protocol=rules.name, seeds=[SEED], modalities=names, channels=channels, device=device,
        progress=progress, **settled,
    )  # fmt: skip
    (name,), data = trial.students, trial.data
    towers, batches = trial.towers[name], trial.recipe.steps(len(data))
    recipe = _capped(trial.recipe, batches)

    def run(report: Callable[[int], None]) -> dict[str, Tensor]:
        found = train_pairs(
            towers, trial.seen_through(name), recipe, key(SEED, "student"), device=device, report=report
        )
        return {f"{m}/{part}": w for m, each in found.items() for part, w in each.items()}

    def lifting() -> float:
        began = time.monotonic()
        towers.lift(_First(data, FEW).all())
        return (time.monotonic() - began) / FEW * len(data)

    training = _Training(
        about=[towers.id, data.id, recipe.to_dict()],
        shapes={f"{m}/{part}": shape for m, layout in towers.layouts.items() for part, shape in layout.shapes.items()},
        updates=batches * recipe.epochs,
        batch=recipe.batch,
        run=run,
        few=lambda n: train_pairs(towers, _First(data, n), _once(recipe), key(SEED, "student"), device=device),
        before=lifting,
    )
    flat = _kept(training, items.store.data_hash, device, limit, progress)
    weights = {m: {part: flat[f"{m}/{part}"] for part in layout.shapes} for m, layout in towers.layouts.items()}
    return Eye(
        f"two towers ({name}) trained on all real pairs, {_length(recipe, trial.recipe, training)}",
        lambda modality, x: towers.embed(weights, towers.lift({modality: x}))[modality],
    )


class _First:
    """The first ``count`` pairs of others."""

    def __init__(self, data: PairData, count: int) -> None:
        self._data, self._count = data, min(count, len(data))
        self.id, self.modalities, self.owner = f"{data.id}-{count}", data.modalities, data.owner[:count]

    def __len__(self) -> int:
        return self._count

    def values(self, modality: str, pairs: Tensor) -> Tensor:
        return self._data.values(modality, pairs)

    def batch(self, pairs: Tensor) -> dict[str, Tensor]:
        return self._data.batch(pairs)

    def all(self) -> dict[str, Tensor]:
        import torch

        return self.batch(torch.arange(self._count))


def _kept(training: _Training, data_hash: str, device: str, limit: float | None, progress: bool) -> dict[str, Tensor]:
    """The weights, from the cache or trained. Raises TooSlow where that would take longer than ``limit`` seconds."""
    import torch

    from limbeck.banks.folder import found_folder, holds, made_here, read_tensors, write_tensors

    about = {"version": VERSION, "data": data_hash, "seed": SEED, "network": list(training.about)}
    folder, _ = found_folder(cache_root() / "planes", about, made_here(device))
    path = folder / "network.safetensors"
    if not holds(path, training.shapes, torch.float32):
        if limit is not None:
            _estimate(training, limit)
        with Progress("network for the plane", training.updates, shown=progress) as bar:
            found = training.run(lambda done: bar.update(done, {}, bar.rate(training.batch)))
        write_tensors(path, {name: found[name] for name in training.shapes}, {"updates": training.updates})
    kept, _ = read_tensors(path, training.shapes, torch.float32)
    return {name: weight.to(device) for name, weight in kept.items()}


def _estimate(training: _Training, limit: float) -> None:
    """Raises TooSlow, after a step of a few items where that says it already."""
    before = training.before()
    _check(before, limit)
    training.few(WARM)
    for count, share in ((FEW, 1.0), (BATCH, training.batch / BATCH)):
        began = time.monotonic()
        training.few(count)
        _check(before + (time.monotonic() - began) * share * training.updates, limit)


def _check(seconds: float, limit: float) -> None:
    if seconds > limit:
        raise TooSlow(seconds)


def _capped(recipe: Any, batches: int) -> Any:
    """A recipe of as many whole epochs as ``UPDATES`` allow, at least one; its rates fall at the same parts of it."""
    epochs = max(1, min(recipe.epochs, UPDATES // max(1, batches)))
    drops = tuple(max(1, round(drop * epochs / recipe.epochs)) for drop in recipe.drops)
    return dataclasses.replace(recipe, epochs=epochs, drops=drops)


def _once(recipe: Any) -> Any:
    return dataclasses.replace(recipe, epochs=1, drops=())


def _length(recipe: Any, whole: Any, training: _Training) -> str:
    epochs = f"{recipe.epochs} epoch{'' if recipe.epochs == 1 else 's'}"
    cut = f" instead of the protocol's {whole.epochs}" if recipe.epochs < whole.epochs else ""
    return f"{epochs}{cut} ({training.updates:,} updates)"

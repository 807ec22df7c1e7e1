"""Real and synthetic items side by side in the plane: embeddings of one network by t-SNE or UMAP."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import ConfigError, DataError, LimbeckError, MissingDependencyError, NumericsError, nearest
from limbeck.report.trained import TooSlow, eye_of
from limbeck.rng import key, numpy_stream
from limbeck.synthetic.factor import decode
from limbeck.synthetic.origin import store_of
from limbeck.units import duration

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.data.real_items import RealItems
    from limbeck.report.trained import Eye
    from limbeck.synthetic import SyntheticSet

__all__ = ["PROJECTIONS", "Dots", "Panel", "Projection", "check_projection", "plane_of", "project"]

PROJECTIONS = {"auto": "t-SNE", "none": "", "tsne": "t-SNE", "umap": "UMAP"}
"""What ``--projection`` takes, and how it is called."""
QUICK = 30.0
"""Seconds that "auto" may take to train the network that items are looked at through, where it is not in the cache."""
REAL, OWN = 500, 200
"""Real and synthetic items at most, as many of one class as of another."""
CHUNK = 64
"""Items an encoder is given at once."""
PRINCIPAL = 50
"""Directions of largest variance that are kept of wider embeddings, as t-SNE's authors do."""
PERPLEXITY, NEIGHBOURS = 30.0, 15
SIDE, MARGIN = 400, 16
NAMED = 40
"""Classes in the legend at most."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Dots:
    """Points of one class: its name, the hue (degrees) and lightness level of its colour, and an SVG path of dots."""

    label: str
    hue: float
    level: int
    path: str


@dataclass(frozen=True)
class Panel:
    """One modality. Each has axes of its own, on which only what is near is of meaning.

    Args:
        counts: points of the three kinds, in this order.
    """

    name: str
    real: list[Dots]
    initial: list[Dots]
    distilled: list[Dots]
    counts: tuple[int, int, int]


@dataclass(frozen=True)
class Projection:
    """What the page draws.

    Args:
        how: "t-SNE" or "UMAP".
        through: what items are looked at through, in words.
        legend: classes by colour; empty for a set without labels. more: classes that the legend leaves out.
        mark: width of a synthetic dot.
    """

    how: str
    through: str
    panels: list[Panel]
    legend: list[Dots]
    more: int
    mark: int
    side: int = SIDE


def check_projection(how: str) -> None:
    """Raises ConfigError on a name that is none, MissingDependencyError where the package of it is not there."""
    if how not in PROJECTIONS:
        raise ConfigError(f"unknown projection {how!r}", where="--projection", hint=nearest(how, PROJECTIONS))
    if how == "umap":
        _umap()


def plane_of(
    synthetic: SyntheticSet, initial: SyntheticSet | None, how: str, name: str = "RUN", *, progress: bool = False
) -> tuple[Projection | None, str | None]:
    """What a page draws, or a sentence on why it does not.

    Args:
        how: "auto" is t-SNE where the real set is at hand and takes less than ``QUICK`` seconds; else see
            :func:`project`, whose errors are raised for what was asked for by name.
        name: of the run, for a command.
    """
    if how != "auto":
        return project(synthetic, initial, how, progress=progress), None
    try:
        return project(synthetic, initial, "tsne", limit=QUICK, progress=progress), None
    except TooSlow as slow:
        why = f"it would take about {duration(slow.seconds)} on this machine"
        return None, f"Items are not drawn in the plane: {why}. limbeck report {name} --projection tsne does it."
    except LimbeckError as error:
        return None, f"Items are not drawn in the plane: {error.what}."


def project(
    synthetic: SyntheticSet,
    initial: SyntheticSet | None,
    how: str,
    device: str = "auto",
    *,
    limit: float | None = None,
    progress: bool = False,
) -> Projection | None:
    """Embeddings of the training split, of ``synthetic`` and of what it began as, in the plane; None for "none".

    The real set is opened where the synthetic one says that it was made from; :func:`limbeck.report.trained.eye_of`
    says through what it is looked at. The same on every call.

    Args:
        how: "tsne", "umap" or "none".
        device: of the network. limit: seconds that its training may take, by an estimate; any by default.

    Raises:
        TooSlow: it would take longer.
        ConfigError: an unknown ``how``. MissingDependencyError: UMAP, or the encoder's weights, are not there.
        DataError: the real set is not there any more, or is another. NumericsError: embeddings that are no numbers.
    """
    check_projection(how)
    if how == "none":
        return None
    from limbeck.encoders.machine import choose_device

    items = _real(synthetic)
    machine = str(choose_device(device))
    eye = eye_of(synthetic, items, device=machine, limit=limit, progress=progress)
    names = synthetic.classes if items.pairs is None else ()
    positions, real_classes = _chosen(items)
    own_classes = _classes(synthetic, bool(names))
    shown = _shown(own_classes)
    classes = [real_classes, *[own_classes[shown]] * (1 if initial is None else 2)]
    panels = []
    for modality in synthetic.modalities:
        embedded = [_embedded(eye, modality, (items.batch(modality, p, machine) for p in _chunks(positions)))]
        embedded += [
            _embedded(eye, modality, (part.to(machine) for part in _decoded(own, modality)[shown].split(CHUNK)))
            for own in ([synthetic] if initial is None else [initial, synthetic])
        ]
        panels.append(_panel(modality, embedded, classes, names, how))
    legend = [Dots(names[k], *_colour(k, len(names)), "") for k in range(min(len(names), NAMED))]
    mark = 10 if len(shown) <= 120 else 8
    return Projection(PROJECTIONS[how], eye.told, panels, legend, len(names) - len(legend), mark)


def _panel(modality: str, embedded: Sequence[Array], classes: Sequence[Array], names: Sequence[str], how: str) -> Panel:
    """Embeddings of real items, of first ones where there are some, and of distilled ones, and the classes of each."""
    place = _plane(np.concatenate(embedded), how, modality)
    cut = np.split(place, np.cumsum([len(e) for e in embedded])[:-1])
    real, *before, distilled = [_dots(xy, c, names) for xy, c in zip(cut, classes, strict=True)]
    counts = (len(cut[0]), sum(len(xy) for xy in cut[1:-1]), len(cut[-1]))
    return Panel(modality, real, before[0] if before else [], distilled, counts)


def _real(synthetic: SyntheticSet) -> RealItems:
    """The training split that a set was made from, by class or by pairs as it was."""
    from limbeck.data.pairs import Pairs
    from limbeck.data.real_items import RealItems

    store = store_of(synthetic)
    told = synthetic.provenance.get("settings")
    settings: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    names = list(synthetic.modalities)
    if synthetic.labels is None or settings.get("pairs") is not None:
        captions = str(settings.get("captions") or "bert")
        return RealItems(Pairs.of(store, "train", modalities=names, captions=captions))
    if lost := [name for name in names if name not in store.modalities]:
        raise DataError(f"the real set has no {' and no '.join(lost)}", where=store.path)
    return RealItems(store, {name: store.modalities[name] for name in names})


def _chosen(items: RealItems) -> tuple[Array, Array]:
    """Positions of the real items that are shown, and the class of each: as many of every class as of another."""
    each = max(1, REAL // max(1, len(items.groups)))
    picked = [
        np.sort(numpy_stream(0, "projection", k).permutation(group)[:each]) for k, group in enumerate(items.groups)
    ]
    return np.concatenate(picked), np.repeat(np.arange(len(picked)), [len(p) for p in picked])


def _chunks(positions: Array) -> Iterator[Tensor]:
    import torch

    yield from torch.from_numpy(positions).split(CHUNK)


def _decoded(synthetic: SyntheticSet, modality: str) -> Tensor:
    """(l * l * N, *shape): what models train on, cell after cell."""
    values = synthetic.values[modality].detach().cpu().float()
    return decode(values, synthetic.factor).flatten(0, 1) if synthetic.factor > 1 else values


def _classes(synthetic: SyntheticSet, labelled: bool) -> Array:
    count = len(synthetic) * synthetic.factor**2
    if not labelled or synthetic.labels is None:
        return np.zeros(count, np.int64)
    return np.tile(synthetic.labels.numpy(), synthetic.factor**2)


def _shown(labels: Array) -> Array:
    """Which of some items are shown where they are many: every so manieth of their order by class."""
    order = np.argsort(labels, kind="stable")
    return np.sort(order[np.linspace(0, len(order) - 1, min(OWN, len(order))).round().astype(np.int64)])


def _embedded(eye: Eye, modality: str, batches: Iterator[Tensor]) -> Array:
    import torch

    with torch.no_grad():
        rows: Array = torch.cat([eye.embed(modality, x).cpu().float() for x in batches]).numpy()
    if not np.isfinite(rows).all():
        raise NumericsError(f"embeddings of {modality} are not finite", hint="Use --projection none.")
    return rows


def _plane(rows: Array, how: str, modality: str) -> Array:
    """(n, D) -> (n, 2) within the panel; both axes to one scale."""
    if len(rows) < 5:
        raise DataError(f"{len(rows)} items of {modality} are too few to be projected", where="--projection")
    from threadpoolctl import threadpool_limits

    seed = key(0, "projection") % 2**32
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal points, and of umap's single thread
        if rows.shape[1] > PRINCIPAL < len(rows):
            from sklearn.decomposition import PCA

            rows = PCA(PRINCIPAL, svd_solver="randomized", random_state=seed).fit_transform(rows)
        found = _umapped(rows, seed) if how == "umap" else _tsne(rows, seed)
    found = found - (found.max(0) + found.min(0)) / 2
    spread: Array = SIDE / 2 + found * (SIDE / 2 - MARGIN) / max(float(np.abs(found).max()), 1e-12)
    return spread


def _tsne(rows: Array, seed: int) -> Array:
    from sklearn.manifold import TSNE

    start = "pca" if rows.shape[1] > 1 else "random"
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    placed: Array = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(rows)
    return placed


def _umapped(rows: Array, seed: int) -> Array:
    placed: Array = (
        _umap()
        .UMAP(n_components=2, n_neighbors=min(NEIGHBOURS, len(rows) - 1), random_state=seed, n_jobs=1)
        .fit_transform(rows)
    )
    return placed


def _umap() -> Any:
    try:
        import umap
    except ImportError as error:
        raise MissingDependencyError(
            "UMAP is not installed", where="--projection umap",
            hint="pip install umap-learn, or take --projection tsne, which needs nothing more.",
        ) from error  # fmt: skip
    return umap


def _dots(places: Array, classes: Array, names: Sequence[str]) -> list[Dots]:
    """By class, in the order of classes."""
    found = []
    for k in np.unique(classes).tolist():
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places[classes == k].tolist())
        found.append(Dots(names[k] if names else "", *_colour(k, len(names)), path))
    return found


def _colour(k: int, count: int) -> tuple[float, int]:
    """Hue and lightness level of class ``k``: around the circle, and by turns light and dark where hues get near."""
    return (40 + 360 * k / max(count, 1)) % 360, k % 2 if count > 8 else 0

"""Distilled sets that AVDD's authors published, as a run's folder of ours: to be scored, shown and exported here.

Their files hold encoded items (with factor 2 four quadrants an item, as in ``synthetic/factor.py``), class after class:
pictures normalised with the papers' constants, spectrograms in raw decibel (docs/audio_visual.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data import tensors
from limbeck.errors import ConfigError, FormatError, NumericsError
from limbeck.files import digest_file, new_folder, write_json, writing_to
from limbeck.modalities import Audio, Image, Modality
from limbeck.modalities.base import whole
from limbeck.synthetic.set import SyntheticSet

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.data.store import PairedStore

__all__ = ["import_avdd"]

KINDS = {"audio": ("audSyn", "audio_syn"), "image": ("imgSyn", "image_syn")}
"""What each kind is called in a file's name, and in the file of a class."""
CHANNELS = 128
"""Width of the networks that these sets were distilled with."""


def import_avdd(
    root: str | Path,
    store: PairedStore,
    out: str | Path,
    *,
    experiment: int = 0,
    step: int = 5000,
    factor: int = 2,
) -> SyntheticSet:
    """A published set, renormalised for ``store``, and the folder of a finished run around it.

    Args:
        root: folder of ``exp_<e>_audSyn_<step>.pth`` and ``exp_<e>_imgSyn_<step>.pth``, or of ``class:<c>.pt``, each
            ``{experiment: {"audio_syn": {step: tensor}, "image_syn": {step: tensor}}}``. One modality may be missing.
        store: the real set whose classes, in their order, and shapes these are.
        out: the run's folder, which must not exist.
        experiment, step: which of the sets.
        factor: 2 where items are encoded (AVDD's), 1 where they are not.

    Raises:
        FormatError: files are missing, damaged, hold more than numbers, or do not fit the store.
        NumericsError: values are not finite.
        ConfigError: ``out`` exists or cannot be written, or the factor does not fit.
    """
    import torch

    folder, target = Path(root), Path(out)
    if target.exists():
        raise ConfigError("exists already", where=target, hint="Choose another --out.")
    if not folder.is_dir():
        raise FormatError("there is no such folder", where=folder)
    if not whole(factor):
        raise ConfigError(f"the factor is {factor!r}", hint="AVDD's sets have 2; 1 where items are not encoded.")
    classes = len(store.classes)
    if not classes:
        raise FormatError("the store has no classes, and AVDD's sets are by class", where=store.path)
    found = _whole(folder, experiment, step) or _by_class(folder, experiment, step, classes)
    modalities = {name: m for name, m in store.modalities.items() if m.kind in found}
    if sorted(m.kind for m in modalities.values()) != sorted(found):
        raise FormatError(f"the store has {', '.join(store.modalities)}, the set {', '.join(found)}", where=folder)
    values = {name: _fitting(*found[m.kind], m) for name, m in modalities.items()}
    sizes = {name: len(value) for name, value in values.items()}
    items = next(iter(sizes.values()))
    if len(set(sizes.values())) > 1 or items % classes:
        what = f"{' and '.join(f'{n} {name}' for name, n in sizes.items())} items"
        raise FormatError(f"{what} for the {classes} classes of {store.name}", where=folder)
    files = sorted({path for paths, _ in found.values() for path in paths})
    provenance = {
        "method": "avdd",
        "imported": {
            "from": "AVDD's published tensors",
            "experiment": experiment,
            "step": step,
            "sha256": {path.name: digest_file(path) for path in files},
        },
        "settings": {"per_class": items // classes, "factor": factor, "channels": CHANNELS},
        "steps_done": step,
        "data": {"name": store.name, "path": str(store.path.resolve()), "hash": store.data_hash},
    }
    labels = torch.arange(classes).repeat_interleave(items // classes)
    synthetic = SyntheticSet(modalities, values, labels, store.classes, factor=factor, provenance=provenance)
    _write(synthetic, target)
    return synthetic


def _whole(folder: Path, experiment: int, step: int) -> dict[str, tuple[list[Path], Tensor]]:
    """Kind -> its files and (N, C, H, W), from the files of an experiment; empty where there are none."""
    found = {}
    for kind, (name, _) in KINDS.items():
        path = folder / f"exp_{experiment}_{name}_{step}.pth"
        if path.exists():
            found[kind] = ([path], tensors.numbers(tensors.load(path), kind, path, 4))
    return found


def _by_class(folder: Path, experiment: int, step: int, classes: int) -> dict[str, tuple[list[Path], Tensor]]:
    """The same from one file a class."""
    import torch

    paths = [folder / f"class:{c}.pt" for c in range(classes)]
    lost = [path.name for path in paths if not path.is_file()]
    if lost:
        others = sorted(path.name for path in folder.iterdir())[:8]
        what = f"neither exp_{experiment}_imgSyn_{step}.pth nor {lost[0]} is here"
        raise FormatError(what, where=folder, hint=f"Found {', '.join(others) or 'nothing'}.")
    parts: dict[str, list[Tensor]] = {}
    for path in paths:
        held = _entry(tensors.load(path), experiment, "experiment", path)
        present = [kind for kind, (_, key) in KINDS.items() if isinstance(held, Mapping) and key in held]
        if not present or (parts and present != list(parts)):
            raise FormatError(f"holds {', '.join(present) or 'no set'}, unlike the others", where=path)
        for kind in present:
            value = _entry(held[KINDS[kind][1]], step, "step", path)
            parts.setdefault(kind, []).append(tensors.numbers(value, kind, path, 4))
    for kind, values in parts.items():
        odd = next((c for c, value in enumerate(values) if value.shape != values[0].shape), None)
        if odd is not None:
            what = f"{kind} is {tuple(values[odd].shape)}, in {paths[0].name} {tuple(values[0].shape)}"
            raise FormatError(what, where=paths[odd])
    return {kind: (paths, torch.cat(values)) for kind, values in parts.items()}


def _entry(held: Any, key: int, what: str, path: Path) -> Any:
    if not isinstance(held, Mapping) or key not in held:
        known = ", ".join(str(k) for k in held) if isinstance(held, Mapping) else type(held).__name__
        raise FormatError(f"holds no {what} {key}", where=path, hint=f"It holds {known}.")
    return held[key]


def _fitting(paths: list[Path], value: Tensor, modality: Modality) -> Tensor:
    """(N, *shape) float32 with the constants of the store's modality."""
    if tuple(value.shape[1:]) != modality.shape:
        raise FormatError(f"items are {tuple(value.shape[1:])}, the store's {modality.shape}", where=paths[0])
    if not value.isfinite().all():
        raise NumericsError(f"{modality.kind} has values that are not finite", where=paths[0])
    shape = modality.shape
    theirs = Image(shape=shape) if isinstance(modality, Image) else Audio(shape=shape, scale="decibel")
    value = value.float().clone()
    if (theirs.mean, theirs.std) == (modality.mean, modality.std):
        return value
    mean, std = modality._constants(value)
    return (theirs.denormalise(value) - mean) / std


def _write(synthetic: SyntheticSet, out: Path) -> None:
    about = synthetic.provenance
    settings = {"data": about["data"]["path"], **about["settings"]}
    with writing_to(out), new_folder(out) as folder:
        synthetic.save(folder / "synthetic")
        write_json(folder / "run.json", {key: about[key] for key in ("method", "imported", "data")})
        write_json(folder / "config.json", settings)

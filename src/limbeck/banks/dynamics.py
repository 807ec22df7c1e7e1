"""What short trainings on the real set say of its items: when each was classified rightly, how large its gradients
are."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F

from limbeck.data import cache_root
from limbeck.data.store import PairedStore
from limbeck.encoders import Kernels, Precision, Weights, encoders_for
from limbeck.encoders.machine import computing
from limbeck.errors import DataError, FormatError
from limbeck.files import digest_of, new_folder, write_bytes, write_json, writing_to
from limbeck.modalities import Modality
from limbeck.rng import key
from limbeck.training import Recipe, Rows, Student, chunks, train

__all__ = ["NETWORKS", "RECIPE", "Dynamics", "last_layer_gradient_norm"]

VERSION = 1
RECIPE = Recipe(epochs=10, batch=128, optimiser="sgd", rate=0.01, momentum=0.9, drops=(), weight_decay=0.0, augment=())
"""Of forgetting's one training and GraNd's short ones [choice, docs/audio_visual.md]."""
NETWORKS = 10
"""GraNd averages over so many."""
CHUNK = 256
UNSEEN, WRONG, RIGHT = 0, 1, 2
Array = np.ndarray[Any, Any]
Report = Callable[[int], None]


@dataclass(frozen=True)
class Dynamics:
    """Short trainings on the labelled training items, kept in the cache folder; a killed one goes on where it stood.

    The student is the one the recognition protocol trains, a head for each modality; ``seed`` is the run's, so that
    other runs have other networks, and none of them is a network that scores a set.

    Args:
        modalities: of the store's.
    """

    store: PairedStore
    modalities: Mapping[str, Modality]
    seed: int
    channels: int = 128
    device: str | torch.device = "cpu"
    kernels: Kernels = "literal"
    precision: Precision = "fp32"

    def history(self, report: Report | None = None) -> Array:
        """Whether items were classified rightly, each time with the weights they met when they were presented.

        The prediction is the fused one: the mean of the modalities' softmaxes.

        Args:
            report: see ``limbeck.training.train``.

        Returns:
            (epochs, N) bool in the order of ``store.rows("train")``; items without a label are never right.

        Raises:
            DataError: no labels. NumericsError: the training diverges. ConfigError: the cache cannot be written.
        """

        def make(progress: Path) -> Array:
            sheet = self._observed(progress, report)
            if (sheet == UNSEEN).any():  # a power cut took epochs off the sheet that the checkpoint has behind it
                shutil.rmtree(progress)
                sheet = self._observed(progress, report)
            return np.asarray(sheet == RIGHT)

        items = len(self._items)
        return self._spread(self._kept("history", (RECIPE.epochs, items), np.bool_, make))

    def gradient_norms(self, report: Report | None = None) -> Array:
        """GraNd scores: norms of the gradient to the last layers, averaged over NETWORKS networks after their last
        epoch.

        Each item is looked at without augmentation. With several modalities it is the sum of the heads' norms [choice].

        Returns:
            (N,) float64 in the order of ``store.rows("train")``; 0 for items without a label.

        Raises:
            As :meth:`history`.
        """

        def make(progress: Path) -> Array:
            progress.mkdir(parents=True, exist_ok=True)
            found = [self._norms(progress, k, report) for k in range(NETWORKS)]
            return np.stack(found)

        norms = self._kept("grand", (NETWORKS, len(self._items)), np.float32, make)
        mean: Array = self._spread(norms.mean(0, dtype=np.float64)[None])[0]
        return mean

    @property
    def steps(self) -> int:
        """Batches of one training."""
        return -(-len(self._items) // RECIPE.batch) * RECIPE.epochs

    @cached_property
    def _items(self) -> Rows:
        if not self.store.classes:
            raise DataError("networks in training need labels; this set has none", where=self.store.path)
        return Rows.labelled(self.store, "train", self.modalities, self.device)

    @cached_property
    def _student(self) -> Student:
        encoders = encoders_for(self.modalities, channels=self.channels, kernels=self.kernels, precision=self.precision)
        return Student(encoders, self.modalities, len(self.store.classes))

    def _observed(self, progress: Path, report: Report | None) -> Array:
        """(E, n) UNSEEN, WRONG or RIGHT. The sheet is a file, so that it has what was seen before a kill."""
        sheet = _sheet(progress, (RECIPE.epochs, len(self._items)))

        def observe(epoch: int, indices: Tensor, logits: Mapping[str, Tensor], labels: Tensor) -> None:
            fused = torch.stack([x[0].softmax(1) for x in logits.values()]).mean(0)
            right = (fused.argmax(1) == labels[0]).cpu().numpy()
            sheet[epoch, indices[0].cpu().numpy()] = np.where(right, RIGHT, WRONG)

        seeds = [key(self.seed, "forgetting")]
        train(
            self._student, self._items, RECIPE, seeds,
            device=self.device, checkpoint=progress, report=report, observe=observe,
        )  # fmt: skip
        return sheet

    def _norms(self, progress: Path, network: int, report: Report | None) -> Array:
        """(n,) of one network, trained where a killed process has not left them."""
        file = progress / f"norms-{network}.npy"
        before = network * self.steps
        found = _read(file, (len(self._items),), np.float32)
        if found is None:
            step = None if report is None else lambda done: report(before + done)
            seeds = [key(self.seed, "grand", network)]
            weights = train(
                self._student, self._items, RECIPE, seeds, device=self.device, checkpoint=progress, report=step
            )[0]
            found = self._measured(weights)
            write_bytes(file, _packed(found))
        elif report is not None:
            report(before + self.steps)
        return found

    @torch.no_grad()
    def _measured(self, weights: Weights) -> Array:
        student, items, norms = self._student, self._items, []
        for indices in chunks(range(len(items)), CHUNK):
            at = torch.tensor(indices)
            labels = items.labels[at].to(self.device)
            features = student.embed(weights, items.batch(at))
            logits = student.head.logits(weights, features)
            each = [last_layer_gradient_norm(logits[name], f, labels) for name, f in features.items()]
            norms.append(torch.stack(each).sum(0).cpu())
        return torch.cat(norms).numpy()

    def _kept(self, what: str, shape: tuple[int, ...], dtype: type[np.generic], make: Callable[[Path], Array]) -> Array:
        about = {
            "version": VERSION,
            "what": what,
            "data": self.store.data_hash,
            "student": self._student.id,
            "modalities": [m.to_dict() for m in self.modalities.values()],
            "recipe": RECIPE.to_dict(),
            "networks": NETWORKS if what == "grand" else 1,
            "seed": self.seed,
            **computing(self.device, self.kernels, self.precision),
        }
        folder = cache_root() / "dynamics" / digest_of(about)[:32]
        file = folder / f"{what}.npy"
        found = _read(file, shape, dtype)
        if found is not None:
            return found
        lock = FileLock(folder.with_suffix(".lock"))
        with writing_to(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()  # another process may be at the same training
        try:
            found = _read(file, shape, dtype)
            if found is None:
                progress = folder.with_suffix(".training")
                made = make(progress)
                with new_folder(folder) as new:
                    write_bytes(new / file.name, _packed(made))
                    write_json(new / "about.json", about)
                shutil.rmtree(progress, ignore_errors=True)
                found = _read(file, shape, dtype)
        finally:
            lock.release()
        if found is None:
            raise FormatError("what was just written cannot be read back", where=file, hint="Is the disk full?")
        return found

    def _spread(self, values: Array) -> Array:
        """(K, labelled items) -> (K, training items), zero for the others."""
        train_rows = self.store.rows("train")
        whole = np.zeros((len(values), len(train_rows)), dtype=values.dtype)
        whole[:, np.searchsorted(train_rows, self._items.rows)] = values
        return whole


def last_layer_gradient_norm(logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    r"""The norm of each item's gradient of cross entropy to a linear layer's weight and bias.

    With p the softmax of the logits and y the label's unit vector the gradient is (p - y) f^T and p - y, its norm
    :math:`|p - y|_2 \sqrt{1 + |f|_2^2}` (Paul et al., "Deep learning on a data diet"; docs/audio_visual.md).

    Args:
        logits: (N, C), of that layer.
        features: (N, D), what the layer looks at.
        labels: (N,) int64.

    Returns:
        (N,), 0 or more.
    """
    wrong = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
    norms: Tensor = wrong.norm(dim=1) * (1 + features.square().sum(1)).sqrt()
    return norms


def _sheet(folder: Path, shape: tuple[int, int]) -> Array:
    """The sheet a killed training left in ``folder``, else a new one, and no checkpoint without it."""
    file = folder / "sheet.npy"
    try:
        sheet = np.lib.format.open_memmap(file, mode="r+")
        if sheet.shape == shape and sheet.dtype == np.uint8:
            return sheet
    except (OSError, ValueError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)  # zeros: UNSEEN


def _packed(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _read(file: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> Array | None:
    """The array in ``file``, None where it is missing or not whole."""
    try:
        found: Array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == dtype else None

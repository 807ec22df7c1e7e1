"""The result of a distillation: a few learnable items that know what they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Audio, Depth, Image, Modality, Text
from limbeck.modalities.base import whole
from limbeck.synthetic.factor import cells, decode

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as Picture
    from torch import Tensor
    from torch.utils.data import Dataset

    from limbeck.synthetic.similarity import Similarity
    from limbeck.synthetic.storage import Stored

__all__ = ["SyntheticSet"]


@dataclass
class SyntheticSet:
    """N stored items over any modalities, by class or by pair.

    Args:
        modalities: by name; their order is the order everywhere.
        values: per modality (N, *shape), float32, normalised; with a factor l each spatial item holds l*l cells.
        labels: (N,) int64, classes in ascending order, or None for a set by pair.
        classes: names of the labels.
        captions: per stored item l*l tuples, the captions of each cell (a cell may have none); or None.
        factor: l.
        provenance: method, settings, seed, data hash, versions: whatever made the set.
        similarity: of the N pairs, learnt with them; None where a pair is alike only to itself.
        stored: by modality, what is kept where that is not the float32 values themselves; the values are then what it
            stands for. :meth:`stored_as` fills it.

    Raises:
        ShapeError: if the parts do not fit together.
        ConfigError: on a factor that fits no modality, or classes, captions or provenance of the wrong kind.
    """

    modalities: dict[str, Modality]
    values: dict[str, Tensor]
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    captions: list[tuple[tuple[str, ...], ...]] | None = None
    factor: int = 1
    provenance: dict[str, Any] = field(default_factory=dict)
    similarity: Similarity | None = None
    stored: dict[str, Stored] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.modalities or list(self.values) != list(self.modalities):
            raise ShapeError(f"values of {list(self.values)} for modalities {list(self.modalities)}")
        sizes = {name: len(value) for name, value in self.values.items()}
        if self.labels is not None:
            sizes["labels"] = len(self.labels)
        if self.captions is not None:
            sizes["captions"] = len(self.captions)
        if self.similarity is not None:
            sizes["similarity"] = len(self.similarity)
        if len(set(sizes.values())) != 1:
            raise ShapeError(f"items do not pair up: {sizes}")
        if not len(self):
            raise ShapeError("a set holds one item or more")
        if not whole(self.factor):
            raise ConfigError(f"the factor is {self.factor!r}, not a whole number from 1")
        if self.similarity is not None and self.factor > 1:
            raise ConfigError(f"a similarity is of whole pairs, the factor is {self.factor}", hint="Use --factor 1.")
        self._check_values()
        self._check_words()

    def _check_values(self) -> None:
        for name, modality in self.modalities.items():
            if name != modality.name:
                raise ShapeError(f"the modality {modality.name!r} stands under the name {name!r}")
            if tuple(self.values[name].shape[1:]) != tuple(modality.shape):
                raise ShapeError(
                    f"{name} items are {tuple(self.values[name].shape[1:])}, the modality says {modality.shape}"
                )
            if self.factor > 1 and not modality.spatial:
                raise ConfigError(
                    f"a factor of {self.factor} needs modalities with height and width; {name!r} has none",
                    hint="Use --factor 1, or leave that modality out.",
                )
            if modality.spatial:
                height, width = modality.shape[-2:]
                cells(height, width, self.factor)
        self.stored = {name: kept for name, kept in self.stored.items() if name in self.values}
        for name, kept in self.stored.items():
            if kept.codes.shape != self.values[name].shape:
                raise ShapeError(f"what is kept of {name!r} does not fit its values")
        if self.labels is not None:
            if self.labels.ndim != 1 or str(self.labels.dtype) != "torch.int64":
                raise ShapeError(f"labels are {tuple(self.labels.shape)} {self.labels.dtype}, not (N,) int64")
            low, high = int(self.labels.min()), int(self.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ShapeError(f"labels run from {low} to {high} for {len(self.classes)} classes")

    def _check_words(self) -> None:
        if not _words(self.classes) or len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"classes are not different names: {self.classes!r}")
        for row, item in enumerate(self.captions or ()):
            if not isinstance(item, tuple) or len(item) != self.factor**2 or not all(_words(cell) for cell in item):
                raise ConfigError(
                    f"captions of item {row} are not {self.factor**2} tuples of words, one for each cell: {item!r}"
                )
        if not isinstance(self.provenance, dict):
            raise ConfigError(f"provenance is no dict: {self.provenance!r}")

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {'x'.join(map(str, m.shape))}" for name, m in self.modalities.items())
        classes = f", {len(self.classes)} classes" if self.labels is not None else ""
        made = f", by {self.provenance['method']}" if "method" in self.provenance else ""
        return f"<SyntheticSet of {len(self)} items: {shapes}{classes}, factor {self.factor}{made}>"

    @property
    def storage(self) -> dict[str, str]:
        """By modality "fp32", "fp16" or "uint8": what :meth:`save` writes."""
        return {name: self.stored[name].kind if name in self.stored else "fp32" for name in self.modalities}

    @property
    def bytes(self) -> int:
        """Bytes of the learnt numbers as they are kept, scales and the similarity among them, labels left out."""
        alike = 0 if self.similarity is None else self.similarity.bytes
        plain = [value for name, value in self.values.items() if name not in self.stored]
        kept = sum(stored.bytes for stored in self.stored.values())
        return alike + kept + sum(value.numel() * value.element_size() for value in plain)

    @property
    def counted_bytes(self) -> int:
        """What comparisons count: :attr:`bytes`, or, of real items chosen by ``--bytes``, those of their media in the
        form they ship in."""
        told = self.provenance.get("bytes")
        total = told.get("total") if isinstance(told, dict) else None
        return total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else self.bytes

    def stored_as(self, kind: str) -> Self:
        """The set kept as "fp32", "fp16" or "uint8" (:mod:`limbeck.synthetic.storage`), the values rounded to what is
        kept: what is in memory is what a reload gives, bit for bit. A similarity stays float32.

        What is kept so already stays as it is.

        Raises ConfigError on another kind, NumericsError naming the modality on values that it cannot hold.
        """
        from limbeck.synthetic.storage import stored_as

        return stored_as(self, kind)

    @property
    def decoded_captions(self) -> list[tuple[str, ...]] | None:
        """The captions of each decoded item, in the order of :meth:`decode`: first cells of all items first."""
        if self.captions is None:
            return None
        return [item[cell] for cell in range(self.factor**2) for item in self.captions]

    def decode(self, items: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor | None]:
        """What models train on: l*l items for each stored one, with gradients back to the stored values.

        Args:
            items: which stored items, (n,) int64; all of them by default.

        Returns:
            per modality (l*l*n, *shape), first cells of all items first, and labels (l*l*n,) or None.
        """
        chosen = self.values if items is None else {name: value[items] for name, value in self.values.items()}
        batch = {name: decode(value, self.factor).flatten(0, 1) for name, value in chosen.items()}
        if self.labels is None:
            return batch, None
        labels = self.labels if items is None else self.labels[items]
        return batch, labels.repeat(self.factor**2)

    def torch(self) -> Dataset[dict[str, Tensor]]:
        """The decoded items as a map-style dataset: one tensor a modality, and ``label`` where there are classes."""
        from limbeck.synthetic.dataset import DecodedDataset

        return DecodedDataset(self)

    def images(self, modality: str | None = None) -> list[Picture]:
        """The decoded pictures (or depth maps, 16 bit)."""
        from PIL import Image as PillowImage

        chosen = self._of_kind((Image, Depth), modality, "pictures")
        stored = self._decoded_stored(chosen)
        if isinstance(chosen, Depth) or chosen.shape[0] == 1:
            return [PillowImage.fromarray(item[0]) for item in stored]
        return [PillowImage.fromarray(item.transpose(1, 2, 0).copy()) for item in stored]

    def audio(self, modality: str | None = None) -> tuple[list[np.ndarray], int]:
        """The decoded sounds as waveforms in -1..1, float32, and their sampling rate in Hz. Spectrograms are inverted
        by Griffin-Lim."""
        chosen = self._of_kind((Audio,), modality, "sound")
        assert isinstance(chosen, Audio)
        decoded = decode(self.values[chosen.name].detach().cpu(), self.factor).flatten(0, 1)
        return [wave.numpy() for wave in chosen.waveform(decoded)], chosen.sample_rate

    def text(self, modality: str | None = None) -> list[list[str]]:
        """What each item's text says: the real training captions whose vectors are nearest to it, best first.

        Raises ConfigError where the set holds no text, LimbeckError where the data it was made from is not here.
        """
        from limbeck.synthetic.nearest import nearest

        chosen = self._of_kind((Text,), modality, "text")
        assert isinstance(chosen, Text)
        return [[found.words for found in item] for item in nearest(self, chosen, range(len(self)))]

    def save(self, path: str | Path) -> Path:
        """Write the artifact (safetensors + JSON) to a folder of its own, replacing one that is there.

        Raises:
            NumericsError: if a value is not finite; then nothing is written.
            ConfigError: if names, captions or provenance are nothing JSON can hold, or values were changed after
                :meth:`stored_as`.
        """
        from limbeck.synthetic.artifact import save

        return save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an artifact, or the one of a run folder. Raises FormatError where it is not whole."""
        from limbeck.synthetic.artifact import load

        return load(cls, Path(path))

    def _of_kind(self, kinds: tuple[type[Modality], ...], name: str | None, what: str) -> Modality:
        if name is not None and name not in self.modalities:
            raise ConfigError(f"this set has no modality {name!r}", hint=f"It has {', '.join(self.modalities)}.")
        for modality in self.modalities.values():
            if isinstance(modality, kinds) and name in (None, modality.name):
                return modality
        there = ", ".join(f"{m.name} ({m.kind})" for m in self.modalities.values())
        raise ConfigError(f"this set holds no {what}", hint=f"It has {there}.")

    def _decoded_stored(self, modality: Modality) -> np.ndarray:
        decoded = decode(self.values[modality.name].detach().cpu(), self.factor).flatten(0, 1)
        return modality.to_stored(modality.denormalise(decoded)).numpy()


def _words(values: object) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, str) for value in values)

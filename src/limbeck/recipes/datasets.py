"""The data sets of the papers' tables, and what a store must be to be one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["DATASETS", "DataSet", "differences"]

IMAGE = (3, 224, 224)
MEL = {1: (1, 128, 56), 10: (1, 128, 551)}
"""Published shapes of a picture, and of a spectrogram by its seconds. For ten the paper gives none: this is the same
transform."""
CLIPS = (3, 128, 204)
"""Of three clips as ImageBind reads sound."""
VECTOR = (1024,)
"""Of ImageBind's embeddings."""
Looked: TypeAlias = Literal["convnet", "imagebind", "vectors"]
NEAR = 0.25
"""A store with this much fewer or more training items than published is another set: videos vanish from the web."""


@dataclass(frozen=True)
class DataSet:
    """A data set as its papers prepared it.

    Args:
        title: its name in the papers.
        reader: of its raw files.
        classes, train, test: numbers of classes and windows, or of pictures.
        seconds: of a window.
        captions: of the training items; 0 where pairs are not looked at.
        modalities: that an item has.
        looked: how it is prepared: for the papers' ConvNets ("convnet") or for ImageBind ("imagebind"), or as vectors
            that ImageBind made ("vectors").
    """

    title: str
    reader: str
    classes: int
    train: int
    test: int
    seconds: int = 1
    captions: int = 0
    modalities: tuple[str, ...] = ("image", "audio")
    looked: Looked = "convnet"

    @property
    def mel(self) -> tuple[int, ...]:
        """Shape of a spectrogram."""
        return MEL[self.seconds] if self.looked == "convnet" else CLIPS

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Published shapes by modality; of text there is none but a vector's."""
        if self.looked == "vectors":
            return dict.fromkeys(self.modalities, VECTOR)
        known = {"image": IMAGE, "audio": self.mel, "depth": (1, *IMAGE[1:])}
        return {name: known[name] for name in self.modalities if name in known}

    @property
    def prepare(self) -> str:
        """The command that makes it as the papers' code does, less root and folder."""
        if self.looked != "convnet":
            embed = "; limbeck embed --encoder imagebind" if self.looked == "vectors" else ""
            return f"limbeck prepare {self.reader} --for imagebind{embed}"
        if self.captions:
            return f"limbeck prepare {self.reader}"
        window = "" if self.seconds == 1 else f" --window {self.seconds}"
        return f"limbeck prepare {self.reader} --mel decibel --allow-silent true{window}"

    def held_by(self, store: PairedStore) -> bool:
        """Whether ``store`` can be this set, by its numbers of classes and training items."""
        items = len(store.rows("train"))
        same = len(store.classes) == self.classes and (not self.captions or store.captions.total > 0)
        return same and abs(items / self.train - 1) <= NEAR


PAIR = ("image", "text")
DATASETS = {
    "vggs10k": DataSet("VGGS-10K", "vggs10k", 10, 8_808, 444),
    "vggsound": DataSet("VGGSound", "vggsound", 309, 165_000, 13_000),
    "music21": DataSet("MUSIC-21", "music21", 21, 146_908, 42_440),
    "ave": DataSet("AVE", "ave", 28, 27_726, 3_305),
    "vggs10k-10s": DataSet("VGGS-10K, 10 s", "vggs10k", 10, 8_808, 444, seconds=10),
    "ave-10s": DataSet("AVE, 10 s", "ave", 28, 3_339, 402, seconds=10),
    "flickr8k": DataSet("Flickr8k", "flickr8k", 0, 6_000, 1_000, captions=30_000, modalities=PAIR),
    "flickr30k": DataSet("Flickr30k", "flickr30k", 0, 29_000, 1_000, captions=145_000, modalities=PAIR),
    "coco": DataSet("COCO", "coco", 0, 113_287, 5_000, captions=566_747, modalities=PAIR),
    "vggs10k-imagebind": DataSet("VGGS-10K for ImageBind", "vggs10k", 10, 8_808, 444, looked="imagebind"),
    "ave-imagebind": DataSet("AVE for ImageBind", "ave", 28, 27_726, 3_305, looked="imagebind"),
    "nyu_v2": DataSet("NYU-v2", "nyu_v2_ten", 10, 795, 654, modalities=("depth", "text"), looked="imagebind"),
    "clotho-imagebind": DataSet(
        "Clotho v1 in ImageBind's vectors", "clotho", 0, 2_893, 1_045, captions=14_465, modalities=("audio", "text"),
        looked="vectors",
    ),
}  # fmt: skip
"""By the first piece of a cell's name. VGGSound's numbers are rounded in the papers, AVE's of ten seconds are its
videos' (the paper gives none); those of pictures and captions are Karpathy's splits; NYU-v2's are the labelled set's
with ten classes [choice]."""


def differences(dataset: DataSet, store: PairedStore) -> list[str]:
    """Why scores on ``store`` are not comparable with figures published on ``dataset``, a sentence each."""
    found = []
    if not dataset.held_by(store):
        have, want = len(store.rows("train")), f"{dataset.train:,} ({dataset.prepare})"
        if dataset.captions:
            what = "pictures" if "image" in dataset.modalities else "clips"
            numbers = f"{have:,} training {what}, published {want}"
        else:
            numbers = (
                f"{len(store.classes)} classes and {have:,} training items, published {dataset.classes} and {want}"
            )
        found.append(f"{store.name} is not {dataset.title}: {numbers}")
    if dataset.captions and not store.captions.total:
        found.append(f"{store.name} has no captions")
    for name, shape in dataset.shapes.items():
        modality = store.modalities.get(name)
        if modality is None:
            found.append(f"{store.name} has no {name}")
        elif modality.shape != shape:
            have_shape, want_shape = ("x".join(map(str, s)) for s in (modality.shape, shape))
            found.append(f"{name} of {have_shape}, published {want_shape}")
    if dataset.looked == "convnet" and getattr(store.modalities.get("audio"), "scale", "decibel") != "decibel":
        found.append("spectrograms are standardised; the papers' code feeds raw decibel (prepare with --mel decibel)")
    return found

"""One file per benchmark layout; the user's own data is ``limbeck.data.manifest``."""

from __future__ import annotations

from limbeck.data.manifest import Manifest
from limbeck.data.readers.av_mnist import AVMNIST
from limbeck.data.readers.avdd_tensors import AVDDTensors
from limbeck.data.readers.ave import AVE
from limbeck.data.readers.clotho import Clotho
from limbeck.data.readers.coco import COCO
from limbeck.data.readers.flickr8k import Flickr8k
from limbeck.data.readers.flickr30k import Flickr30k
from limbeck.data.readers.music21 import MUSIC21
from limbeck.data.readers.nyu_v2 import NYUv2, NYUv2Ten
from limbeck.data.readers.sunrgbd import SUNRGBD
from limbeck.data.readers.vggs10k import VGGS10K
from limbeck.data.readers.vggsound import VGGSound
from limbeck.data.rows import Reader

__all__ = ["READERS"]

SOURCES: tuple[type[Reader], ...] = (
    Manifest,
    VGGSound,
    VGGS10K,
    AVE,
    MUSIC21,
    AVMNIST,
    AVDDTensors,
    Flickr8k,
    Flickr30k,
    COCO,
    NYUv2,
    NYUv2Ten,
    SUNRGBD,
    Clotho,
)
READERS: dict[str, type[Reader]] = {reader.name: reader for reader in SOURCES}
"""What ``limbeck prepare`` can read, by name."""

"""One file per benchmark layout; the user's own data is ``limbeck.data.manifest``."""

from __future__ import annotations

from limbeck.data.manifest import Manifest
from limbeck.data.readers.av_mnist import AVMNIST
from limbeck.data.readers.ave import AVE
from limbeck.data.readers.vggsound import VGGSound
from limbeck.data.rows import Reader

__all__ = ["READERS"]

READERS: dict[str, type[Reader]] = {reader.name: reader for reader in (Manifest, VGGSound, AVE, AVMNIST)}
"""What ``limbeck prepare`` can read, by name."""

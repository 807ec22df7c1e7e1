"""What a modality is, one file each."""

from limbeck.modalities.audio import Audio
from limbeck.modalities.base import KINDS, Modality, modality_from_dict
from limbeck.modalities.depth import Depth
from limbeck.modalities.feature import Feature
from limbeck.modalities.image import Image
from limbeck.modalities.text import Text

__all__ = ["KINDS", "Audio", "Depth", "Feature", "Image", "Modality", "Text", "modality_from_dict"]

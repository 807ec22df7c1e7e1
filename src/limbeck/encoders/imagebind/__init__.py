"""ImageBind, our own implementation of the architecture (docs/imagebind.md).

The published weights are the user's to bring; they are CC-BY-NC 4.0 or CC-BY-NC-SA 4.0, not for commercial use.
"""

from limbeck.encoders.imagebind.adaptors import ImageBindEncoder, imagebind_encoders
from limbeck.encoders.imagebind.config import (
    BASE,
    CONFIGS,
    HUGE,
    LICENCE,
    PARTS,
    TINY,
    ImageBindConfig,
    Part,
    imagebind_config,
)
from limbeck.encoders.imagebind.fresh import draw_weights
from limbeck.encoders.imagebind.model import ImageBind, ImageBindPart, module_of
from limbeck.encoders.imagebind.tokens import TOKENS, TokenText, text_features, token_values
from limbeck.encoders.imagebind.weights import find_weights, load_modality, load_part, needed_weights

__all__ = [
    "BASE",
    "CONFIGS",
    "HUGE",
    "LICENCE",
    "PARTS",
    "TINY",
    "TOKENS",
    "ImageBind",
    "ImageBindConfig",
    "ImageBindEncoder",
    "ImageBindPart",
    "Part",
    "TokenText",
    "draw_weights",
    "find_weights",
    "imagebind_config",
    "imagebind_encoders",
    "load_modality",
    "load_part",
    "module_of",
    "needed_weights",
    "text_features",
    "token_values",
]

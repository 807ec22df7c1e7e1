"""Networks as functions of weights."""

from limbeck.encoders.base import PUBLISHED_WIDTH, Encoder, Weights
from limbeck.encoders.build import encoders_for
from limbeck.encoders.convnet import ConvNet, Kernels, Precision
from limbeck.encoders.head import ProjectionHead
from limbeck.encoders.linear import Linear
from limbeck.encoders.tower import Tower, TwoTower

__all__ = [
    "PUBLISHED_WIDTH",
    "ConvNet",
    "Encoder",
    "Kernels",
    "Linear",
    "Precision",
    "ProjectionHead",
    "Tower",
    "TwoTower",
    "Weights",
    "encoders_for",
]

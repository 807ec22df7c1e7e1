"""Networks as functions of weights."""

from limbeck.encoders.base import PUBLISHED_WIDTH, Encoder, Weights
from limbeck.encoders.build import encoders_for
from limbeck.encoders.convnet import ConvNet, Kernels, Precision
from limbeck.encoders.linear import Linear

__all__ = ["PUBLISHED_WIDTH", "ConvNet", "Encoder", "Kernels", "Linear", "Precision", "Weights", "encoders_for"]

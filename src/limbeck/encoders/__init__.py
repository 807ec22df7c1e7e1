"""Networks as functions of weights."""

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.build import encoders_for
from limbeck.encoders.convnet import ConvNet, Kernels, Precision
from limbeck.encoders.linear import Linear

__all__ = ["ConvNet", "Encoder", "Kernels", "Linear", "Precision", "Weights", "encoders_for"]

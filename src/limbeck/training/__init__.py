"""The one supervised loop: students and feature networks, several at once, each as if it were trained alone."""

from limbeck.training.data import Rows, Tensors, TrainingData, chunks
from limbeck.training.loop import predict, train
from limbeck.training.recipe import Recipe
from limbeck.training.student import Student

__all__ = ["Recipe", "Rows", "Student", "Tensors", "TrainingData", "chunks", "predict", "train"]

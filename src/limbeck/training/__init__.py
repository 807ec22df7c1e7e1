"""The one supervised loop: students and feature networks, several at once, each as if it were trained alone."""

from limbeck.training.data import Rows, Tensors, TrainingData, chunks
from limbeck.training.frozen import Embedded
from limbeck.training.fusions import FUSIONS
from limbeck.training.heads import FUSED
from limbeck.training.loop import Observe, train
from limbeck.training.predict import embed, predict
from limbeck.training.recipe import Recipe
from limbeck.training.student import Student

__all__ = [
    "FUSED",
    "FUSIONS",
    "Embedded",
    "Observe",
    "Recipe",
    "Rows",
    "Student",
    "Tensors",
    "TrainingData",
    "chunks",
    "embed",
    "predict",
    "train",
]

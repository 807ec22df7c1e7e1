"""What a card says of the files beside it, and the code that reads them without Limbeck."""

from __future__ import annotations

__all__ = ["FILES", "ORDER", "PLAIN"]

COMMON = [
    ("similarity.npy", "how alike the pairs are to each other, (items, items): learnt beside them"),
    ("synthetic", "the artifact: every number as it was learnt, with everything that made it"),
]
FILES: dict[str, list[tuple[str, str]]] = {
    "folder": [
        ("labels.csv", "a row an item: item, label, class, files, caption"),
        ("*/*.png", "pictures, a folder for each modality (depth: millimetres)"),
        ("*/*.wav", "sounds"),
        *COMMON,
        ("*.npy", "vectors, a row an item"),
    ],
    "webdataset": [
        ("shard-*.tar", "samples: .png, .wav and .npy, .cls (label), .txt (captions, one a line), .json"),
        *COMMON,
    ],
    "huggingface": [
        ("data/train-00000-of-00001.parquet", "a row an item, pictures and sounds in it as PNG and WAV files"),
        *COMMON,
    ],
    "ddranking": [
        ("images.pt", "pictures, (N, C, H, W) float32"),
        ("labels.pt", "classes, (N,) int64, ascending"),
        ("lr.pt", "the learnt step size"),
        ("*.pt", "another modality, (N, ...) float32"),
        ("ddranking.json", "mean and std of each modality, names of the classes, and which item each row is"),
        *COMMON,
    ],
}
"""By target: pattern and what such a file is."""

ORDER = {
    "ddranking": "Rows are sorted by class. Values are normalised, `(x - mean) / std` with the constants in "
    "`ddranking.json`, neither rounded nor clamped. DD-Ranking normalises its own real sets with constants of theirs: "
    "`x * std + mean` is a picture of 0 to 1, to be normalised with those."
}

PLAIN = {
    "folder": """import csv

with open("PATH/OF/THIS/FOLDER/labels.csv", newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))  # item, label, class, files, caption""",
    "webdataset": """import webdataset

samples = webdataset.WebDataset("PATH/OF/THIS/FOLDER/shard-000000.tar", shardshuffle=False).decode("pil")""",
    "huggingface": """from datasets import load_dataset

rows = load_dataset("PATH/OF/THIS/FOLDER", split="train")  # decoding sounds needs torchcodec""",
    "ddranking": """import torch

images = torch.load("PATH/OF/THIS/FOLDER/images.pt", weights_only=True)
labels = torch.load("PATH/OF/THIS/FOLDER/labels.pt", weights_only=True)
# HardLabelEvaluator(...).compute_metrics(image_tensor=images, hard_labels=labels)""",
}
"""Without Limbeck."""

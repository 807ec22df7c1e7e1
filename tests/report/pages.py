"""Runs made up for tests of the report, and their pages taken apart."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import wave

import numpy as np
import torch

from limbeck.modalities import Audio, Image
from limbeck.synthetic import SyntheticSet

IMAGE = Image(shape=(3, 8, 8))
SOUND = Audio(shape=(1, 16, 12), sample_rate=4000, n_fft=64, hop=32, mean=(-20.0,), std=(8.0,))
RESULT = {
    "protocol": "recognition-avdd",
    "version": 1,
    "selection": "last epoch",
    "students": ["convnet"],
    "seeds": [0, 1, 2, 3, 4],
    "mean": {"audio": 41.2, "image": 62.5, "fused": 71.75},
    "std": {"audio": 1.5, "image": 2.5, "fused": 0.5},
    "n": 5,
    "interval": {"audio": [39.3, 43.1], "image": [59.4, 65.6], "fused": [71.1, 72.4]},
    "whole": {
        "students": ["convnet"],
        "mean": {"audio": 98.7, "image": 97.6, "fused": 99.4},
        "std": {"audio": 0.1, "image": 0.2, "fused": 0.3},
        "n": 3,
    },
}


class Page(html.parser.HTMLParser):
    """Elements and attributes of a page, and the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self._raw = [], [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        self._raw = tag in ("script", "style")

    def handle_endtag(self, _tag):
        self._raw = False

    def handle_data(self, data):
        self.text += "" if self._raw else data

    def sources(self, tag):
        return [value for t, name, value in self.attributes if t == tag and name == "src"]


def synthetic_set(modalities=(IMAGE, SOUND), n=6, factor=1, labels=True, classes=("cat", "dog", "cow"), captions=None):
    draw = torch.Generator().manual_seed(0)
    values = {m.name: torch.randn(n, *m.shape, generator=draw) for m in modalities}
    return SyntheticSet(
        {m.name: m for m in modalities},
        values,
        torch.arange(n) * len(classes) // n if labels else None,
        classes if labels else (),
        captions,
        factor,
        {"method": "avdd", "data": {"name": "farm", "hash": "ab" * 32}, "seed": 0, "steps_done": 30},
    )


def make_run(folder, synthetic, initial=True, metrics=30, result=None):
    synthetic.save(folder / "synthetic")
    if initial:
        before = {name: value * 0.5 for name, value in synthetic.values.items()}
        SyntheticSet(synthetic.modalities, before, synthetic.labels, synthetic.classes, factor=synthetic.factor).save(
            folder / "initial"
        )
    (folder / "config.json").write_text(json.dumps({"data": "farm", "lr": 0.2, "method": {"icm": 10.0}}))
    if metrics:
        steps = [
            {"step": i + 1, "loss": 3 / (i + 1), "terms": {"base": 1 / (i + 1), "icm": 2 / (i + 1)}}
            for i in range(metrics)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(s) + "\n" for s in steps))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def read(path):
    return Page(path.read_text(encoding="utf-8"))


def sound_of(address):
    with wave.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")

"""Seconds a step of MDM: ours, with fresh networks and with a pool of them, and a script's, all in one run.

    python -m benchmarks.mdm --data stores/flickr8k_1k --captions minilm
    python -m benchmarks.mdm --data stores/flickr8k_1k --captions minilm --photographs FOLDER
    python -m benchmarks.mdm --data stores/flickr8k --tower nfnet --captions bert --device cuda

The literal loop goes about a step as the published script does: the two towers are built as modules, both experts and
the start are read from disk and merged tensor by tensor, each cosine through the CPU; the real batch is decoded from
JPEG files, resized and encoded; one optimiser steps, with one clip. What else that script does (it empties the GPU's
cache and loads a text encoder it does not use) is left out, and captions are embedded beforehand for all. It runs under
the C library's own rules for freed memory, as the script does; "memory kept" is the same with ours. Without
``--photographs``, a folder of the set's own files, the files are the store's pictures at the store's size: less to
decode than the set's own.

Networks are not trained: speed does not depend on it. Contenders take turns; figures are medians, ratios medians of the
ratios within a turn. What comes before the first step is told apart: snapshots read and their inner products, and for a
pool what its networks make of all real items. ``--cpu-time`` counts the process's own seconds, for a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.literal import network
from benchmarks.step import keep_memory
from limbeck.banks.merged_pool import MergedPool
from limbeck.encoders import ConvNet, ProjectionHead, TwoTower
from limbeck.engine.loop import Loop
from limbeck.engine.paired import paired
from limbeck.engine.plan import Plan, plan
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        loops, before = {}, {}
        for name, pool in (("fresh", 0), ("pool", options.pool)):
            own = planned(options, pool)
            loops[name] = loop_of(own, pool, options)
            before[name] = clocked(lambda name=name: warm_up(loops[name]), options)
        script = LiteralLoop(loops["fresh"], Path(folder), options)
        contenders: dict[str, Callable[[], Any]] = {"literal": script.step, "literal, memory kept": script.step}
        contenders |= {name: (lambda loop=loop: next(loop.run(loop.step + 1))) for name, loop in loops.items()}
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(options.turns + 1):  # the first warms up
            for name, step in contenders.items():
                keep_memory(name != "literal")
                if name == "literal, memory kept":
                    step()  # untimed: what was given back to the system is fetched again here
                took = clocked(step, options)
                if turn:
                    found[name].append(took)
    print(f"{options.tower}, {options.pairs} pairs, batches of {options.batch}, {own.numerics}")
    for name, times in found.items():
        ratio = statistics.median(a / b for a, b in zip(found["literal"], times, strict=True))
        once = f", once before {before[name]:.2f} s" if name in before else ""
        print(f"{name:20} {statistics.median(times):.4f} s a step, literal / it {ratio:.2f}{once}")


def planned(options: argparse.Namespace, pool: int) -> Plan:
    settings = {
        "pairs": options.pairs, "real_batch": options.batch, "captions": options.captions, "tower": options.tower,
        "kernels": options.kernels, "precision": options.precision,
        "device": options.device, "threads": options.threads, "validate": "none", "init": "random",
    }  # fmt: skip
    method = {"pool": pool, "real_augment": "none", "synthetic_batch": options.batch}
    return plan("mdm", options.data, settings=settings, method_settings=method)


class Experts:
    """As many as asked for, that nobody trained."""

    def __init__(self, towers: TwoTower, options: argparse.Namespace) -> None:
        self.towers, self.experts, self.epochs = towers, options.experts, options.epochs

    def snapshot(self, name: str, expert: int, epoch: int, device: str | torch.device = "cpu") -> Tensor:
        tower = self.towers.towers[name]
        start = 0.0 if tower.start is None else tower.layout.flatten(tower.start)
        draw = stream(0, name, expert, epoch, device=device)
        return start + 0.01 * torch.randn(tower.layout.size, generator=draw, device=device)


def loop_of(own: Plan, pool: int, options: argparse.Namespace) -> Loop:
    own.numerics.apply()
    pairs = paired(own, rehearse=True).pairs
    rows = np.linspace(0, len(pairs) - 1, own.settings.pairs).astype(int)
    loop = Loop(own, SyntheticSet(dict(pairs.modalities), pairs.batch(rows)), rehearse=True)
    seen: Any = loop.objective
    towers = seen.networks.towers
    seen.networks = MergedPool(towers, Experts(towers, options), pool=pool, device=options.device)
    seen.real_side.rehearse = False
    return loop


def warm_up(loop: Loop) -> None:
    """What is done once: the first step, and every network of a pool on every real item."""
    seen: Any = loop.objective
    some, step = seen.real_pairs(0), 0
    while step == 0 or len({slot for slot, _ in seen.real_side.tables}) % max(1, seen.method.pool):
        seen.real_side.of(seen.networks.at(stream(step, "warm up")), some)
        step += 1
    next(loop.run(1))


def clocked(work: Callable[[], Any], options: argparse.Namespace) -> float:
    clock = time.process_time if options.cpu_time else time.perf_counter
    began = clock()
    work()
    if options.device == "cuda":
        torch.cuda.synchronize()
    return clock() - began


class Head(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.one, self.two, self.norm = nn.Linear(features, width), nn.Linear(width, width), nn.LayerNorm(width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.one(x)
        return self.norm(a + self.drop(self.two(F.gelu(a))))


def built(encoder: Any) -> nn.Module:
    """A tower with fresh weights, as a script makes one."""
    if isinstance(encoder, ProjectionHead):
        return Head(encoder.features, encoder.width)
    if isinstance(encoder, ConvNet):
        return network(encoder)
    import timm

    return timm.create_model(encoder.kind.timm, pretrained=False, **encoder.kind.options)


class LiteralLoop:
    """Everything from files, every step."""

    def __init__(self, loop: Loop, folder: Path, options: argparse.Namespace) -> None:
        seen = loop.objective
        self.pairs, self.towers, self.folder, self.options = seen.pairs, seen.networks.towers.towers, folder, options
        self.device, self.draw = torch.device(options.device), np.random.default_rng(0)
        self.values = {n: v.detach().clone().requires_grad_() for n, v in loop.synthetic.values.items()}
        self.optimiser = torch.optim.SGD(list(self.values.values()), lr=100.0, momentum=0.5)
        for name, tower in self.towers.items():
            for kind in ("start", *range(options.files)):
                torch.save(built(tower.trained).state_dict(), folder / f"{name}-{kind}.pt")
        self.files = self._photographs(options.photographs)

    def _photographs(self, given: Path | None) -> list[Path]:
        store, files = self.pairs.store, []
        modality = self.pairs.modalities[self.pairs.first]
        for row in self.pairs.items:
            name = Path(str(store.ids[row])).name
            if given is not None:
                files.append(next(path for path in (given / name, given / f"{name}.jpg") if path.exists()))
                continue
            files.append(self.folder / f"{len(files)}.jpg")
            stored = modality.to_stored(modality.denormalise(store.batch(modality.name, [row])))[0]
            Image.fromarray(stored.permute(1, 2, 0).numpy()).save(files[-1], quality=95)
        return files

    def step(self) -> None:
        networks = {name: self._merged(name, tower.trained) for name, tower in self.towers.items()}
        rows = self.draw.permutation(len(self.pairs))[: self.options.batch]
        real = {self.pairs.first: self._decoded(rows), self.pairs.second: self.pairs.seconds(rows).to(self.device)}
        with torch.no_grad():
            a, b = (F.normalize(net(real[name]), dim=1) for name, net in networks.items())
        chosen = torch.randperm(self.options.pairs)[: self.options.batch].to(self.device)
        x, y = (F.normalize(net(self.values[name][chosen]), dim=1) for name, net in networks.items())
        logits, own = x @ y.T / 0.07, torch.arange(len(chosen), device=self.device)
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        for sign in (1, -1):
            loss = loss + 0.8 * distance(F.normalize(a + sign * b, dim=1), F.normalize(x + sign * y, dim=1))
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self.values.values()), 1.0)
        self.optimiser.step()
        loss.item()

    def _merged(self, name: str, encoder: Any) -> nn.Module:
        model = built(encoder)
        anchor = model.state_dict()
        if self.towers[name].pretrained:
            anchor = torch.load(self.folder / f"{name}-start.pt", weights_only=True)
        drawn = self.draw.choice(self.options.files, 2, replace=False)
        one, two = (torch.load(self.folder / f"{name}-{k}.pt", weights_only=True) for k in drawn)
        found = {}
        for key, start in anchor.items():
            ways = [(w[key] - start).flatten() for w in (one, two)]
            c = (ways[0] @ ways[1] / (ways[0].norm() * ways[1].norm() + 1e-12)).clamp(-1, 1).cpu().item()
            t = 2 * c / (1 + c) if c > -0.999 else 0.0
            found[key] = start + 0.5 * t * ((one[key] + two[key]) / 2 - start)
        model.load_state_dict(found)
        return model.to(self.device).eval().requires_grad_(False)

    def _decoded(self, rows: np.ndarray) -> Tensor:
        modality = self.pairs.modalities[self.pairs.first]
        _, height, width = modality.shape
        pictures = []
        for item in self.pairs.owner[rows]:
            with Image.open(self.files[item]) as file:
                small = file.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
            pictures.append(torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255)
        mean, std = (torch.tensor(x).view(-1, 1, 1) for x in (modality.mean, modality.std))
        return ((torch.stack(pictures) - mean) / std).to(self.device)


def distance(a: Tensor, b: Tensor) -> Tensor:
    def k(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(-((x @ y.T).clamp(-1 + 1e-6, 1 - 1e-6).arccos() ** 2) / 0.5).mean()

    return (k(a, a) + k(b, b) - 2 * k(a, b)).clamp(min=0).add(1e-12).sqrt()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="stores/flickr8k_1k")
    parser.add_argument("--captions", default="minilm")
    parser.add_argument("--tower", default="convnet")
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--experts", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=10, help="snapshots of each expert")
    parser.add_argument("--files", type=int, default=4, help="of those, what the script draws from")
    parser.add_argument("--pool", type=int, default=5)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--kernels", default="auto", choices=("auto", "literal", "fused"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

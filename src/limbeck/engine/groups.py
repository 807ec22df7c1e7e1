"""How many classes go through an encoder together: measured once for a machine, then remembered, so that runs stay
repeatable."""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from filelock import FileLock

from limbeck.config import settings_hash
from limbeck.data import cache_root
from limbeck.encoders.machine import machine_name
from limbeck.files import write_json
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.encoders.base import Encoder
    from limbeck.engine.numerics import Numerics

__all__ = ["even_group", "groups", "tuned_group"]

CANDIDATES = (16, 32, 64, 128, 256, 512, 1024)
"""Items a forward; whole classes are rounded to come near one of them."""
SMALL = 32
"""Up to this many items in all there is nothing to choose."""


def groups(classes: int, size: int) -> list[range]:
    """Ranges of up to ``size`` classes that cover them all."""
    return [range(start, min(start + size, classes)) for start in range(0, classes, size)]


def even_group(size: int, classes: int, ranks: int) -> int:
    """The size nearest to ``size``, at most twice it, at which no rank gets more classes than it must: groups go to
    ``ranks`` in turn."""
    if ranks == 1:
        return size

    def most(candidate: int) -> int:
        every = groups(classes, candidate)
        return max(sum(map(len, every[rank::ranks])) for rank in range(ranks))

    options = range(1, min(2 * size, -(-classes // ranks)) + 1)
    return min(options, key=lambda candidate: (most(candidate), abs(math.log(candidate / size))))


def tuned_group(
    encoders: Mapping[str, Encoder], numerics: Numerics, *, items: int, classes: int, backward: bool
) -> int:
    """Classes a group, for classes of ``items`` decoded items.

    Times one forward (and backward to the items) of each candidate on this machine and keeps the fastest in the cache
    folder, so that the next run of this kind takes the same one. Sizes that do not fit the memory are passed over.
    """
    if items * classes <= SMALL:
        return classes
    options = sorted({min(classes, max(1, round(candidate / items))) for candidate in CANDIDATES})
    room = _total_bytes(numerics.device) / 4  # of all there is, not of what is free now: the choice must repeat
    cost = max(_bytes(e) for e in encoders.values()) * items * (2 if backward else 1)
    options = [size for size in options if size * cost <= room] or options[:1]
    if len(options) == 1:
        return options[0]
    setting = settings_hash(
        [e.id for e in encoders.values()], numerics.device, numerics.threads, numerics.kernels, numerics.precision,
        numerics.torch, machine_name(numerics.device), items, options, backward,
    )  # fmt: skip
    path = cache_root() / "groups.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path) + ".lock"):
        try:
            known = json.loads(path.read_text())
        except (OSError, ValueError):
            known = {}
        if known.get(setting) not in options:
            known[setting] = _fastest(encoders, torch.device(numerics.device), options, items, backward)
            with contextlib.suppress(OSError):  # a full disk only means measuring again
                write_json(path, known)
    return int(known[setting])


def _fastest(
    encoders: Mapping[str, Encoder], device: torch.device, options: list[int], items: int, backward: bool
) -> int:
    weights = {name: e.init(stream(0, "tune", name), device) for name, e in encoders.items()}
    seconds: dict[int, float] = {}
    for size in options:
        try:
            trials = [_seconds_per_class(encoders, weights, device, size, items, backward) for _ in range(4)]
        except torch.OutOfMemoryError:  # the estimate above is not exact
            break
        seconds[size] = statistics.median(trials[1:])  # the first one warms up
        if seconds[size] > 2 * min(seconds.values()):
            break
    return min(seconds, key=lambda size: seconds[size]) if seconds else options[0]


def _seconds_per_class(
    encoders: Mapping[str, Encoder],
    weights: Mapping[str, Mapping[str, torch.Tensor]],
    device: torch.device,
    size: int,
    items: int,
    backward: bool,
) -> float:
    batches = {
        name: torch.randn(size * items, *e.input_shape, generator=stream(0, "tune")).to(device).requires_grad_(backward)
        for name, e in encoders.items()
    }
    _wait(device)
    start = time.perf_counter()
    with torch.set_grad_enabled(backward):
        for name, encoder in encoders.items():
            means = encoder.embed(weights[name], batches[name]).view(size, items, -1).mean(1)
            if backward:
                means.square().sum().backward()
    _wait(device)
    return (time.perf_counter() - start) / size


def _bytes(encoder: Encoder) -> int:
    """What an item's activations take, roughly: the largest are those of the first convolution and what follows it."""
    channels = getattr(encoder, "channels", encoder.embedding)
    return 4 * 4 * channels * math.prod(encoder.input_shape[-2:] if len(encoder.input_shape) == 3 else (1,))


def _total_bytes(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(torch.device(device)).total_memory)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return 8 << 30


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Seconds to score retrieval of pairs, beside a sort for each row and column as the papers' evaluation has it.

    python -m benchmarks.recall
    python -m benchmarks.recall --images 1000 --captions 5

The default is COCO's test split, 5,000 images and 25,010 captions: ten images have a sixth. Scores are random
embeddings' cosines, made once and not timed: they are the same for both. Both take turns and must agree; seconds are
the processor's, so that what else runs there does not count. ``--loop`` sorts that share of the rows and of the columns
only and scales the seconds up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from limbeck.evaluation.recall import places


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(options.images, options.width, generator=draw)
    owner = torch.arange(options.images).repeat_interleave(options.captions)
    owner = torch.cat([owner, torch.arange(options.sixth)])
    captions = images[owner] + 3 * torch.randn(len(owner), options.width, generator=draw)
    scores = F.normalize(images, dim=1) @ F.normalize(captions, dim=1).T

    every = max(1, round(1 / options.loop))
    of_captions, of_images = places(scores, owner)
    sorted_captions, sorted_images, sorted_seconds = sort_loop(scores.numpy(), owner.numpy(), every)
    same = bool((of_captions.numpy()[::every] == sorted_captions).all() and
                (of_images.numpy()[::every] == sorted_images).all())  # fmt: skip
    seconds = min(timed(lambda: places(scores, owner)) for _ in range(options.repeats))
    print("| images | captions | a sort for each, s | counted, s | times faster | same places |")
    print("|---|---|---|---|---|---|")
    slow = sorted_seconds * every
    print(f"| {len(images)} | {len(owner)} | {slow:.2f} | {seconds:.3f} | {slow / seconds:.0f} | {same} |")


def timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def sort_loop(scores: np.ndarray, owner: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Places of every so many-th caption and image, and the processor's seconds."""
    started = time.process_time()
    of_images = []
    for i in range(0, len(scores), every):
        order = np.argsort(scores[i])[::-1]
        of_images.append(min(np.where(order == c)[0][0] for c in np.where(owner == i)[0]))
    of_captions = []
    for c in range(0, len(owner), every):
        order = np.argsort(scores[:, c])[::-1]
        of_captions.append(np.where(order == owner[c])[0][0])
    return np.array(of_captions), np.array(of_images), time.process_time() - started


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--captions", type=int, default=5, help="of each image")
    parser.add_argument("--sixth", type=int, default=10, help="images with one more")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loop", type=float, default=1.0, help="share of the rows and columns the loop goes through")
    return parser.parse_args()


if __name__ == "__main__":
    main()

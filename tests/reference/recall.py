"""IR@K and TR@K as the papers' evaluation goes about it, a sort for each row; slow on purpose."""

from __future__ import annotations

import numpy as np


def sorted_recall(scores, owner, cuts=(1, 5, 10)):
    """(I, C), (C,): arrays. Among equal scores the sort decides."""
    found = {}
    of_captions = np.zeros(len(owner), dtype=np.int64)
    for c in range(len(owner)):
        order = np.argsort(scores[:, c])[::-1]
        of_captions[c] = np.where(order == owner[c])[0][0]
    of_images = np.zeros(len(scores), dtype=np.int64)
    for i in range(len(scores)):
        order = np.argsort(scores[i])[::-1]
        of_images[i] = min(np.where(order == c)[0][0] for c in np.where(owner == i)[0])
    for way, places in (("IR", of_captions), ("TR", of_images)):
        for k in cuts:
            found[f"{way}@{k}"] = 100.0 * len(np.where(places < k)[0]) / len(places)
    return found | {"Mean": sum(found.values()) / len(found)}


def places(scores, owner):
    """Lists; what is strictly above, one score after the other."""
    of_captions = [sum(row[c] > scores[owner[c]][c] for row in scores) for c in range(len(owner))]
    of_images = []
    for i, row in enumerate(scores):
        best = max(row[c] for c in range(len(owner)) if owner[c] == i)
        of_images.append(sum(value > best for value in row))
    return of_captions, of_images

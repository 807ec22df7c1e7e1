"""Byte-pair encoding, literally: join the pair of lowest rank until none is left."""

from __future__ import annotations

import html
import unicodedata
from itertools import pairwise


def letters() -> dict[int, str]:
    """Byte -> character, in the order of ids: printable ones first."""
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    found = {b: chr(b) for b in printable}
    for b in range(256):
        if b not in found:
            found[b] = chr(256 + len(found) - len(printable))
    return found


def split(text: str) -> list[str]:
    """Words of lower-case text: an English ending, a run of letters, one digit, or a run of anything else."""
    words, k = [], 0
    while k < len(text):
        ending = next((e for e in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d") if text.startswith(e, k)), None)
        kind = unicodedata.category(text[k])[0]
        if text[k].isspace():
            k += 1
            continue
        end = k + 1
        if ending:
            end = k + len(ending)
        elif kind == "L":
            while end < len(text) and unicodedata.category(text[end])[0] == "L":
                end += 1
        elif kind != "N":
            while end < len(text) and not text[end].isspace() and unicodedata.category(text[end])[0] not in "LN":
                end += 1
        words.append(text[k:end])
        k = end
    return words


def encode(text: str, merges: list[tuple[str, str]]) -> list[int]:
    """Ids of a text without start and end."""
    table = letters()
    vocabulary = [*table.values(), *(c + "</w>" for c in table.values()), *(a + b for a, b in merges)]
    rank = {pair: k for k, pair in enumerate(merges)}
    cleaned = " ".join(html.unescape(html.unescape(unicodedata.normalize("NFC", text))).split()).lower()
    ids = []
    for word in split(cleaned):
        parts = [table[b] for b in word.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: rank.get(pair, len(rank)))
            if best not in rank:
                break
            joined, k = [], 0
            while k < len(parts):
                if tuple(parts[k : k + 2]) == best:
                    joined.append(parts[k] + parts[k + 1])
                    k += 2
                else:
                    joined.append(parts[k])
                    k += 1
            parts = joined
        ids += [vocabulary.index(part) for part in parts]
    return ids

"""Captions as the image-text papers read them."""

from __future__ import annotations

import re

__all__ = ["MAX_WORDS", "clean_caption"]

MAX_WORDS = 30
_MARKS = re.compile(r"""[.!"()*#:;~]""")
_RUNS = re.compile(r"\s{2,}")


def clean_caption(text: str, words: int = MAX_WORDS) -> str:
    """Lower case, each of ``. ! " ( ) * # : ; ~`` a space, runs of two or more white spaces one space, no white space
    at either end, and of that the first ``words`` words.

    Words end at a space, and a white space that stands alone stays what it is: a single tab joins two words into one,
    as in the papers' code. Cleaning what is clean changes nothing; what holds only marks becomes the empty string.
    """
    spaced = _RUNS.sub(" ", _MARKS.sub(" ", text.lower())).strip()
    return " ".join(spaced.split(" ")[:words])

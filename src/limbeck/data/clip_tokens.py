"""CLIP's words as numbers: byte pairs over lower case (docs/imagebind.md), which ImageBind's text reads too.

The merges are CLIP's own file, which is not part of this package: whoever has open_clip_torch installed has it.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import importlib.util
import os
import unicodedata
import zlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data import cache_root
from limbeck.errors import ConfigError, FormatError, MissingDependencyError

__all__ = ["CONTEXT", "FILE", "MERGES", "ClipTokens", "clean", "clip_tokens", "find_merges"]

FILE = "bpe_simple_vocab_16e6.txt.gz"
VARIABLE = "LIMBECK_CLIP_BPE"
"""Environment variable that names the file."""
MERGES = 48_894
"""That are used, from the file's top: 49,152 less 256 bytes and 2 marks."""
CONTEXT = 77
END_OF_WORD = "</w>"
LARGEST = 64 << 20
"""Bytes of the file, unpacked: a small file can claim to be huge."""
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What is a word: an English ending, letters, one digit, or marks."""

IntArray = np.ndarray[Any, np.dtype[np.int64]]


class ClipTokens:
    """The tokenizer of a merges file: 256 bytes, the same at the end of a word, a word a merge, start and end.

    A file of fewer merges makes a smaller vocabulary. What looks like a mark inside a text is text.

    Raises:
        FormatError: the file is damaged or no list of merges. MissingDependencyError: tokenizers is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.merges = path, _read(path)
        letters = _letters()
        words = [*letters, *(a + END_OF_WORD for a in letters), *(a + b for a, b in self.merges)]
        self.vocabulary = {word: k for k, word in enumerate(words)}
        self.start, self.end = len(words), len(words) + 1
        self.size = len(words) + 2
        self._tokenizer = self._built()

    @cached_property
    def id(self) -> str:
        """Of merges and cleaning."""
        text = "\n".join(f"{a} {b}" for a, b in self.merges) + ("\nftfy" if _ftfy() else "")
        return f"bpe-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def words(self, text: str) -> list[int]:
        """Ids of a text, of any number, without start and end."""
        found: list[int] = self._tokenizer.encode(clean(text)).ids
        return found

    def encode(self, texts: Sequence[str], context: int = CONTEXT) -> IntArray:
        """(n, context) int64: start, words, end, zeros. A text too long loses its last words, not its end."""
        found = np.zeros((len(texts), context), np.int64)
        for row, text in zip(found, texts, strict=True):
            ids = [self.start, *self.words(text)][: context - 1]
            row[: len(ids) + 1] = [*ids, self.end]
        return found

    def _built(self) -> Any:
        try:
            from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
        except ImportError as error:
            hint = "pip install 'limbeck[imagebind]'."
            raise MissingDependencyError("CLIP's tokenizer needs it", where="tokenizers", hint=hint) from error
        tokenizer = Tokenizer(
            models.BPE(self.vocabulary, self.merges, end_of_word_suffix=END_OF_WORD, continuing_subword_prefix="")
        )
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        return tokenizer


def clean(text: str) -> str:
    """Mended as CLIP does where ftfy is installed, else in Unicode's composed form; HTML's marks undone twice; each run
    of white space one space."""
    fix = _ftfy()
    mended = fix(text) if fix is not None else unicodedata.normalize("NFC", text)
    return " ".join(html.unescape(html.unescape(mended)).split())


def clip_tokens() -> ClipTokens:
    """The tokenizer of :func:`find_merges`, made once."""
    return _tokens(find_merges())


def find_merges() -> Path:
    """CLIP's merges on this machine: what LIMBECK_CLIP_BPE names, else in the cache's ``weights``, else inside
    open_clip_torch, which is not imported.

    Raises:
        ConfigError: the variable names no file. MissingDependencyError: there is none; says what to put where.
    """
    told = os.environ.get(VARIABLE)
    if told:
        if not Path(told).is_file():
            raise ConfigError(f"{VARIABLE} names no file", where=told)
        return Path(told)
    own = cache_root() / "weights" / FILE
    spec = importlib.util.find_spec("open_clip")
    places = [own, *(Path(folder) / FILE for folder in (spec.submodule_search_locations or () if spec else ()))]
    for path in places:
        if path.is_file():
            return path
    hint = (
        f"pip install --no-deps open_clip_torch (it is read, not imported), put it at {own}, or name it in {VARIABLE}."
    )
    raise MissingDependencyError("CLIP's list of merges is not on this machine", where=FILE, hint=hint)


@lru_cache(maxsize=2)
def _tokens(path: Path) -> ClipTokens:
    return ClipTokens(path)


def _read(path: Path) -> list[tuple[str, str]]:
    """The first line says what the file is; each other is a pair."""
    try:
        with gzip.open(path, "rb") as file:
            raw = file.read(LARGEST + 1)
        lines = raw.decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise FormatError(f"CLIP's list of merges cannot be read ({error})", where=path) from error
    merges = [tuple(line.split(" ")) for line in lines[1 : MERGES + 1] if line]
    known = {*_letters(), *(letter + END_OF_WORD for letter in _letters())}
    for number, pair in enumerate(merges, 2):
        if len(pair) != 2 or not known.issuperset(pair):
            raise FormatError(f"line {number} is no merge of what stands before it", where=path, hint=f"It is {FILE}.")
        known.add("".join(pair))
    if not merges or len(raw) > LARGEST:
        raise FormatError("is no list of merges", where=path, hint=f"It is {FILE}.")
    return [(a, b) for a, b in merges]


@lru_cache(maxsize=1)
def _letters() -> list[str]:
    """A letter a byte, the printable ones first as themselves, then the others from number 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [*map(chr, printable), *map(chr, range(256, 256 + others))]


def _ftfy() -> Any:
    """What mends text, or None."""
    try:
        from ftfy import fix_text
    except ImportError:
        return None
    return fix_text

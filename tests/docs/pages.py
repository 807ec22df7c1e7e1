"""The pages, and the blocks that they show."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = "<!-- not run:"
"""Stands on the line before a block that the tests must not run, with the reason."""
_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)

_INCLUDED = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)


def _file(match: re.Match[str]) -> str:
    """What the site puts in the place of such a line."""
    return (ROOT / match[1]).read_text(encoding="utf-8").rstrip()


@dataclass(frozen=True)
class Block:
    """What a page shows between two fences."""

    page: Path
    language: str
    text: str
    run: bool

    @property
    def name(self) -> str:
        """The page, for a test's name."""
        return str(self.page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[Block]:
    """Blocks of a language, in order; "" is commands."""
    text, found = _INCLUDED.sub(_file, page.read_text(encoding="utf-8")), []
    for match in _BLOCK.finditer(text):
        if match[2] == language:
            before = text[: match.start()].rstrip().rpartition("\n")[2].strip()
            found.append(Block(page, language, textwrap.dedent(match[3]), not before.startswith(NOT_RUN)))
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of each ``limbeck`` command in a block, those that torchrun starts too."""
    for page in PAGES:
        for block in (*blocks(page, ""), *blocks(page, "sh")):
            for line in block.text.splitlines():
                words = line.partition("#")[0].split()
                if "-m" in words[:-1] and words[words.index("-m") + 1] == "limbeck":
                    words = words[words.index("-m") + 1 :]
                if words[:1] == ["limbeck"] and "…" not in line and "|" not in line:
                    yield block.name, words[1:]


def prose(page: Path) -> str:
    """A page without its blocks and its code."""
    return re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text(encoding="utf-8")))

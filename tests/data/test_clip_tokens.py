"""CLIP's tokenizer: the literal twin, transformers' own, a file of the published form, and files that are none."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import cache_root
from limbeck.data.clip_tokens import CONTEXT, FILE, ClipTokens, clean, clip_tokens, find_merges
from limbeck.errors import ConfigError, FormatError, MissingDependencyError
from tests.reference.bpe_literal import encode

MERGES = [
    ("i", "n"), ("t", "h"), ("a", "n"), ("th", "e</w>"), ("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"),
    ("p", "h"), ("o", "t"), ("ot", "o</w>"), ("ph", "oto</w>"), ("o", "f</w>"), ("in", "g</w>"), ("r", "u"),
    ("ru", "n"), ("run", "n"), ("Ã", "©"), ("'", "s</w>"), ("e", "r</w>"),
]  # fmt: skip
TEXTS = [
    "a photo of a cat", "The dogs RUNNING in the\trunner's  photo!!", "café 1234 &amp;amp; &lt;b&gt;", "", "   ",
    "<|endoftext|> is text", "日本語 🐱🐱", "I'll don't 'S ''s", "e\u0301t\u00e9", "x" * 200,
]  # fmt: skip


def write(path: Path, merges: list[tuple[str, str]] = MERGES) -> Path:
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges), ""]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> ClipTokens:
    pytest.importorskip("tokenizers")
    return ClipTokens(write(tmp_path_factory.mktemp("bpe") / FILE))


def test_the_vocabulary_is_bytes_ends_merges_and_two_marks(tokens: ClipTokens) -> None:
    assert tokens.size == 512 + len(MERGES) + 2
    assert (tokens.start, tokens.end) == (512 + len(MERGES), 513 + len(MERGES))
    assert tokens.vocabulary["!"] == 0
    assert tokens.vocabulary["!</w>"] == 256
    assert tokens.vocabulary["in"] == 512
    assert tokens.words("cat") == [512 + MERGES.index(("ca", "t</w>"))]


@pytest.mark.parametrize("text", TEXTS)
def test_equals_the_literal_twin(tokens: ClipTokens, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.data.clip_tokens._ftfy", lambda: None)
    assert tokens.words(text) == encode(text, MERGES)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(min_codepoint=9, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs"]), max_size=30))
def test_any_text_has_tokens_of_the_vocabulary(tokens: ClipTokens, text: str) -> None:
    row = tokens.encode([text])[0]
    assert row[0] == tokens.start
    assert (row == tokens.end).sum() == 1
    assert row.argmax() == (row == tokens.end).argmax()  # the trunk reads where the largest id stands
    assert not row[row.argmax() + 1 :].any()


def test_equals_transformers(tokens: ClipTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.setattr("limbeck.data.clip_tokens._ftfy", lambda: None)
    marks = {"<|startoftext|>": tokens.start, "<|endoftext|>": tokens.end}
    theirs = transformers.CLIPTokenizer(vocab={**tokens.vocabulary, **marks}, merges=MERGES)
    for text in TEXTS:
        if "&" not in text and "<|" not in text:  # neither HTML nor marks are text to it
            assert theirs(text)["input_ids"] == [tokens.start, *tokens.words(text), tokens.end]


def test_a_row_is_start_words_end_and_zeros_and_a_long_text_keeps_its_end(tokens: ClipTokens) -> None:
    rows = tokens.encode(["cat", "cat " * 200, "cat " * 75, ""])
    assert rows.shape == (4, CONTEXT)
    assert rows.dtype == np.int64
    cat = tokens.words("cat")[0]
    assert rows[0].tolist() == [tokens.start, cat, tokens.end, *[0] * 74]
    assert rows[1].tolist() == rows[2].tolist() == [tokens.start, *[cat] * 75, tokens.end]
    assert rows[3, :3].tolist() == [tokens.start, tokens.end, 0]


def test_cleaning_undoes_html_twice_and_joins_white_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.data.clip_tokens._ftfy", lambda: None)
    assert clean("  a\n\tb &amp;lt; c\u00a0d ") == "a b < c d"
    assert clean("e\u0301") == "é"
    monkeypatch.setattr("limbeck.data.clip_tokens._ftfy", lambda: str.upper)
    assert clean("a b") == "A B"


def test_the_file_is_found_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIMBECK_CLIP_BPE", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="open_clip_torch") as caught:
        find_merges()
    assert str(cache_root() / "weights" / FILE) in str(caught.value)
    own = cache_root() / "weights" / FILE
    own.parent.mkdir(parents=True)
    assert clip_tokens_of(write(own)) == own
    monkeypatch.setenv("LIMBECK_CLIP_BPE", str(write(tmp_path / "mine.gz")))
    assert find_merges() == tmp_path / "mine.gz"
    monkeypatch.setenv("LIMBECK_CLIP_BPE", str(tmp_path / "gone.gz"))
    with pytest.raises(ConfigError, match="names no file"):
        find_merges()


def clip_tokens_of(path: Path) -> Path:
    assert clip_tokens() is clip_tokens()
    assert clip_tokens().path == path
    return find_merges()


def test_it_is_read_inside_open_clip_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "open_clip"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    write(package / FILE)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIMBECK_CLIP_BPE", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert find_merges() == package / FILE


@pytest.mark.parametrize(
    ("content", "cut", "what"),
    [
        (b"x\ni n\n" * 3, 9, "cannot be read"),
        (b"\xff\xfe", 0, "cannot be read"),
        (b"", 0, "no list of merges"),
        (b"#version\ni n\nt h e\n", 0, "line 3"),
        (b"#version\ni n\nin zz\n", 0, "line 3"),
    ],
)
def test_what_is_no_list_of_merges(tmp_path: Path, content: bytes, cut: int, what: str) -> None:
    path = tmp_path / FILE
    packed = gzip.compress(content)
    path.write_bytes(packed[: len(packed) - cut])
    with pytest.raises(FormatError, match=what) as caught:
        ClipTokens(path)
    assert str(path) in str(caught.value)


def test_what_is_not_compressed(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"no gzip")
    with pytest.raises(FormatError, match="cannot be read"):
        ClipTokens(path)


def test_ids_of_other_merges_are_other(tmp_path: Path, tokens: ClipTokens) -> None:
    other = ClipTokens(write(tmp_path / FILE, MERGES[:-1]))
    assert other.id != tokens.id
    assert ClipTokens(write(tmp_path / "again.gz")).id == tokens.id

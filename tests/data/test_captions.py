"""Caption cleaning, rule by rule."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.captions import clean_caption


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("A dog runs .", "a dog runs"),
        ("A dog runs.", "a dog runs"),
        ('"Wow!" (he said): *yes*; #1 ~ no.', "wow he said yes 1 no"),
        ("red-haired girl's t-shirt, size 4/5 & more?", "red-haired girl's t-shirt, size 4/5 & more?"),
        ("e.g.this", "e g this"),  # a mark between letters parts them
        ("  two   spaces \n\t and a line\n", "two spaces and a line"),
        ("one\ttab stays", "one\ttab stays"),
        ("café ÉTÉ \u00a0\u2003wide", "café été wide"),
        ("STRASSE straße", "strasse straße"),
        ("日本 の 犬", "日本 の 犬"),
        ("...!!!", ""),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_cleaning(raw: str, clean: str) -> None:
    assert clean_caption(raw) == clean


def test_thirty_words_stay() -> None:
    words = [f"w{k}" for k in range(40)]
    assert clean_caption(" ".join(words)) == " ".join(words[:30])
    assert clean_caption(" . ".join(words)) == " ".join(words[:30])  # marks are no words
    assert clean_caption(" ".join(words[:30])) == " ".join(words[:30])
    assert clean_caption("a b c", words=2) == "a b"
    tabs = "\t".join(words[:2])
    assert clean_caption(f"{tabs} {' '.join(words[2:])}").split(" ")[-1] == "w30"  # a tab alone parts no words


@given(st.text(alphabet=string.printable + "ÄßİΣ\u00a0\u2003\x1c", max_size=200))
def test_clean_stays_clean(text: str) -> None:
    once = clean_caption(text)
    assert clean_caption(once) == once
    assert not set(once) & set('.!"()*#:;~')
    assert once == once.strip()
    assert len(once.split(" ")) <= 30

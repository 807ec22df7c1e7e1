"""The report: what is on the page, that it needs nothing else, and that nothing in a set can break it."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from limbeck.errors import ConfigError, FormatError
from limbeck.report import write_report
from tests.report.pages import RESULT, make_run, read, synthetic_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "first", synthetic_set(), result=RESULT)


@pytest.fixture(scope="module")
def page(folder):
    return read(write_report(folder))


def test_scores_settings_losses_and_how_to_load(page):
    text = " ".join(page.text.split())
    for part in (
        "71.8 ± 0.5",
        "71.1 to 72.4",
        "99.4 ± 0.3",
        "n = 3",
        "recognition-avdd v1",
        "last epoch",
        "chance, 33.3",
    ):
        assert part in text, part
    assert "method.icm" in text
    assert "0.2" in text
    assert 'limbeck.load("first")' in text
    assert "polyline" in page.tags
    assert "not been scored" not in text


def test_the_page_needs_nothing_else(folder, page):
    for tag, name, value in page.attributes:
        if name in ("src", "href"):
            assert value.startswith(("data:", "#")), (tag, value)
    raw = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import", raw)
    policy = next(v for t, n, v in page.attributes if t == "meta" and n == "content" and v.startswith("default-src"))
    script = re.search(r"<script>(.*?)</script>", raw, re.DOTALL).group(1)
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_hostile_names_and_captions_are_words(tmp_path):
    evil = '</style><script>alert(1)</script><img src=x onerror="alert(2)">'
    captions = [((f"{evil} {i}",),) for i in range(6)]
    synthetic = synthetic_set(classes=(evil, "'\" onmouseover=alert(3) x=", "{{ 7 * 7 }}"), captions=captions)
    synthetic.provenance["method"] = evil
    made = make_run(tmp_path / "run", synthetic, result={**RESULT, "protocol": evil, "students": [evil]})
    page = read(write_report(made))
    assert page.tags.count("script") == 1
    assert page.tags.count("style") == 1
    assert all(value.startswith("data:") for value in page.sources("img"))
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert evil in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "49" not in [word.strip() for word in page.text.split()]


def test_what_is_missing_is_said(tmp_path):
    made = make_run(tmp_path / "bare", synthetic_set(), initial=False, metrics=0)
    (made / "config.json").unlink()
    page = read(write_report(made, tmp_path / "elsewhere" / "page.html"))
    assert not (made / "report.html").exists()
    for part in ("not been scored yet", "no metrics.jsonl", "nothing to compare with"):
        assert part in page.text
    assert "polyline" not in page.tags


def test_what_is_not_a_run_is_told(tmp_path):
    with pytest.raises(FormatError, match="no such run folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="not a run"):
        write_report(tmp_path)
    made = make_run(tmp_path / "run", synthetic_set())
    (made / "result.json").write_text("{")
    with pytest.raises(FormatError, match=r"result\.json"):
        write_report(made)
    assert not (made / "report.html").exists()


def test_the_same_run_gives_the_same_page(folder):
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_pairs_with_labels_are_not_called_by_class(tmp_path):
    synthetic = synthetic_set(n=3)
    for settings, words in (
        ({"pairs": 3}, "by pair"),
        ({"per_class": 1}, "1 for each of 3 classes"),
        (7, "1 for each"),
    ):
        synthetic.provenance["settings"] = settings
        assert words in read(write_report(make_run(tmp_path / "run", synthetic, initial=False))).text


def test_a_place_that_cannot_be_written_is_named(folder, tmp_path):
    for out in ("/proc/x.html", tmp_path):
        with pytest.raises(ConfigError, match="cannot be written") as caught:
            write_report(folder, out)
        assert str(out) in str(caught.value)


def test_a_name_is_quoted_where_it_is_code(tmp_path):
    made = make_run(tmp_path / 'a "run" of mine', synthetic_set())
    text = read(write_report(made)).text
    assert 'limbeck.load("a \\"run\\" of mine")' in text
    assert "limbeck export 'a \"run\" of mine'" in text

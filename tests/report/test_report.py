"""The report: what is on the page, that it needs nothing else, and that nothing in a set can break it."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import json
import re
import wave

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from limbeck.errors import ConfigError, FormatError
from limbeck.modalities import Audio, Depth, Feature, Image, Text
from limbeck.report import write_report
from limbeck.report.scores import confusion_table, score_table
from limbeck.synthetic import SyntheticSet

IMAGE = Image(shape=(3, 8, 8))
SOUND = Audio(shape=(1, 16, 12), sample_rate=4000, n_fft=64, hop=32, mean=(-20.0,), std=(8.0,))
RESULT = {
    "protocol": "recognition-avdd",
    "version": 1,
    "selection": "last epoch",
    "students": ["convnet"],
    "seeds": [0, 1, 2, 3, 4],
    "mean": {"audio": 41.2, "image": 62.5, "fused": 71.75},
    "std": {"audio": 1.5, "image": 2.5, "fused": 0.5},
    "n": 5,
    "interval": {"audio": [39.3, 43.1], "image": [59.4, 65.6], "fused": [71.1, 72.4]},
    "whole": {
        "students": ["convnet"],
        "mean": {"audio": 98.7, "image": 97.6, "fused": 99.4},
        "std": {"audio": 0.1, "image": 0.2, "fused": 0.3},
        "n": 3,
    },
}


class Page(html.parser.HTMLParser):
    """Elements and attributes of a page, and the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self._raw = [], [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        self._raw = tag in ("script", "style")

    def handle_endtag(self, _tag):
        self._raw = False

    def handle_data(self, data):
        self.text += "" if self._raw else data

    def sources(self, tag):
        return [value for t, name, value in self.attributes if t == tag and name == "src"]


def synthetic_set(modalities=(IMAGE, SOUND), n=6, factor=1, labels=True, classes=("cat", "dog", "cow"), captions=None):
    draw = torch.Generator().manual_seed(0)
    values = {m.name: torch.randn(n, *m.shape, generator=draw) for m in modalities}
    return SyntheticSet(
        {m.name: m for m in modalities},
        values,
        torch.arange(n) * len(classes) // n if labels else None,
        classes if labels else (),
        captions,
        factor,
        {"method": "avdd", "data": {"name": "farm", "hash": "ab" * 32}, "seed": 0, "steps_done": 30},
    )


def make_run(folder, synthetic, initial=True, metrics=30, result=None):
    synthetic.save(folder / "synthetic")
    if initial:
        before = {name: value * 0.5 for name, value in synthetic.values.items()}
        SyntheticSet(synthetic.modalities, before, synthetic.labels, synthetic.classes, factor=synthetic.factor).save(
            folder / "initial"
        )
    (folder / "config.json").write_text(json.dumps({"data": "farm", "lr": 0.2, "method": {"icm": 10.0}}))
    if metrics:
        steps = [
            {"step": i + 1, "loss": 3 / (i + 1), "terms": {"base": 1 / (i + 1), "icm": 2 / (i + 1)}}
            for i in range(metrics)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(s) + "\n" for s in steps))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def read(path):
    return Page(path.read_text(encoding="utf-8"))


def sound_of(address):
    with wave.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "first", synthetic_set(), result=RESULT)


@pytest.fixture(scope="module")
def page(folder):
    return read(write_report(folder))


def test_every_item_is_shown_beside_what_it_began_as(page):
    pictures = page.sources("img")
    assert len(pictures) == 2 * 6 * 2
    assert len(page.sources("audio")) == 2 * 6
    shown = Pillow.open(io.BytesIO(base64.b64decode(pictures[0].partition(",")[2])))
    assert np.array_equal(np.asarray(shown), np.asarray(synthetic_set().images()[0]))
    for name in ("cat", "dog", "cow"):
        assert name in page.text


def test_sounds_are_the_sets_own(page):
    (expected, rate) = synthetic_set().audio()
    found, samples = sound_of(page.sources("audio")[0])
    assert found == rate
    assert np.abs(samples / 32767 - expected[0]).max() < 1e-3


def test_scores_settings_losses_and_how_to_load(page):
    text = " ".join(page.text.split())
    for part in (
        "71.8 ± 0.5",
        "71.1 – 72.4",
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


def test_everything_has_a_name_for_those_who_do_not_see_it(page):
    alts = [value for tag, name, value in page.attributes if tag == "img" and name == "alt"]
    assert len(alts) == page.tags.count("img")
    assert all(alts)
    labels = [value for tag, name, value in page.attributes if tag == "audio" and name == "aria-label"]
    assert labels[0] == "cat, item 0, distilled"
    assert ("html", "lang", "en") in page.attributes


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


def test_scores_are_what_an_evaluation_writes():
    from limbeck.evaluation.result import Result, Run

    def result(students, base, n):
        runs = tuple(
            Run(s, seed, {"fused": base + 10 * k + seed, "image": base - 20.0})
            for k, s in enumerate(students)
            for seed in range(n)
        )
        settings = ("recognition-avdd", 1, "last epoch", tuple(students), tuple(range(n)), "test", "farm", "ab", {})
        return Result(*settings, runs, chance=25.0, majority=30.0, seconds=1.0, metrics=("fused", "image")).to_dict()

    table = score_table(result(["convnet", "lenet"], 50.0, 3), result(["convnet"], 90.0, 2), 3)
    assert [(r.student, r.metric, r.mean, r.n, r.whole, r.whole_n) for r in table.rows] == [
        ("convnet", "Picture", 30.0, 3, 70.0, 2),
        ("convnet", "Fused", 51.0, 3, 90.5, 2),
        ("lenet", "Picture", 30.0, 3, None, None),
        ("lenet", "Fused", 61.0, 3, None, None),
    ]
    fused = table.rows[1]
    assert fused.std == 1.0
    assert fused.low == pytest.approx(51 - 4.303 / 3**0.5, abs=1e-3)
    assert (table.chance, table.headline) == (25.0, fused)
    alone = score_table(result(["convnet"], 50.0, 1), None, 3)
    assert (alone.rows[1].std, alone.rows[1].low, alone.rows[1].whole) == (None, None, None)
    assert score_table({"protocol": "p"}, None, 3) is None


def test_a_whole_score_in_a_file_of_its_own_is_found(tmp_path):
    result = {k: v for k, v in RESULT.items() if k != "whole"}
    made = make_run(tmp_path / "run", synthetic_set(), result=result)
    assert "no upper bound" in read(write_report(made)).text
    (made / "whole.json").write_text(json.dumps(RESULT["whole"]))
    page = read(write_report(made))
    assert "99.4" in page.text
    assert "no upper bound" not in page.text


def test_a_coreset_is_called_one(tmp_path):
    synthetic = synthetic_set()
    synthetic.provenance.update(method="herding", steps_done=0)
    made = make_run(tmp_path / "run", synthetic, initial=False, metrics=0)
    synthetic.save(made / "initial")
    page = read(write_report(made))
    assert "A coreset" in page.text
    assert "began as" not in page.text
    assert "loss curves" not in page.text
    assert len(page.sources("audio")) == 6
    synthetic.provenance.update(method="lors", steps_taken=20)
    text = read(write_report(make_run(tmp_path / "kept", synthetic, initial=False, metrics=0))).text
    assert "A coreset" not in text
    assert "of the steps that were taken (20) none" in text


@pytest.mark.parametrize("modality", [IMAGE, SOUND, Depth(shape=(1, 8, 8)), Feature(shape=(40,)), Text(shape=(7,))])
def test_one_modality_of_any_kind(tmp_path, modality):
    captions = [((f"words of {i}",),) for i in range(4)]
    synthetic = synthetic_set((modality,), 4, labels=False, captions=captions)
    page = read(write_report(make_run(tmp_path / "run", synthetic)))
    assert len(page.sources("img")) == 8
    assert len(page.sources("audio")) == (8 if modality is SOUND else 0)
    assert "words of 3" in page.text
    assert "by pair" in page.text
    assert ("spectrogram to hear" in page.text) == (modality is SOUND)


def test_a_factor_shows_its_cells_where_they_lie(tmp_path):
    synthetic = synthetic_set((Image(shape=(1, 8, 8)),), 3, factor=2)
    for k, (rows, columns) in enumerate([(0, 0), (4, 0), (0, 4), (4, 4)]):  # column by column, as factor.cells cuts
        synthetic.values["image"][:, :, rows : rows + 4, columns : columns + 4] = [-2.0, -1.0, 0.5, 2.0][k]
    page = read(write_report(make_run(tmp_path / "run", synthetic, initial=False)))
    assert len(page.sources("img")) == 12
    levels = [
        int(np.asarray(Pillow.open(io.BytesIO(base64.b64decode(a.partition(",")[2])))).mean())
        for a in page.sources("img")[:4]
    ]
    assert levels[0] < levels[2] < levels[1] < levels[3]  # row by row on the page
    assert "12" in page.text


def test_many_items_are_capped_fairly_and_small(tmp_path):
    modalities = (Image(shape=(3, 64, 64)), Audio(shape=(1, 128, 56), mean=(-20.0,), std=(8.0,)))
    synthetic = synthetic_set(modalities, 120, factor=2)
    path = write_report(make_run(tmp_path / "run", synthetic))
    page = read(path)
    assert path.stat().st_size < 15e6
    assert "100 of 120 stored items are shown" in page.text
    assert "1 of the 4 sounds in each item" in page.text
    articles = [v for t, n, v in page.attributes if t == "article" and n == "aria-label"]
    counts = [sum(label.startswith(name) for label in articles) for name in ("cat", "dog", "cow")]
    assert sorted(counts) == [33, 33, 34]


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


def test_who_was_taken_for_whom(tmp_path):
    confusion = [[3, 1, 0], [0, 4, 0], [0, 0, 0]]
    made = make_run(tmp_path / "run", synthetic_set(), result={**RESULT, "confusion": confusion, "majority": 41.25})
    page = read(write_report(made))
    shares = [value for tag, name, value in page.attributes if tag == "td" and name == "style"]
    assert [float(s.removeprefix("--share: ").removesuffix("%")) for s in shares] == [75, 25, 0, 0, 100, 0, 0, 0, 0]
    assert "most frequent class gives 41.2" in page.text
    without = read(write_report(make_run(tmp_path / "run", synthetic_set(), result=RESULT)))
    assert "taken for" not in without.text
    assert "most frequent" not in without.text


@pytest.mark.parametrize(
    "confusion",
    [
        None,
        3,
        [],
        [[1, 2, 3]] * 2,
        [[1, 2]] * 3,
        [[1, 2, "3"]] * 3,
        [[1, 2, -1]] * 3,
        [[1, 2, 10**400]] * 3,
        ["abc"] * 3,
    ],
)
def test_a_confusion_of_something_else_is_not_shown(confusion):
    assert confusion_table({"confusion": confusion}, ("a", "b", "c")) is None


def test_captions_stand_after_their_cell(tmp_path):
    words = (tuple(f"top left {i}" for i in range(20)), ("below",), (), ("last",))
    synthetic = synthetic_set(n=3, factor=2, captions=[words] * 3)
    page = read(write_report(make_run(tmp_path / "run", synthetic, initial=False)))
    for part in ("1: top left 0", "1: top left 2", "3: below", "4: last"):
        assert part in page.text
    assert "top left 3" not in page.text


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


def test_a_rank_is_no_percentage(tmp_path):
    """Of retrieval: MedR has no bar and no per cent sign, chance is told by metric, and R@1 leads the page."""
    mean = {"audio->image R@1": 12.5, "audio->image MedR": 6.5, "image->audio R@1": 17.5, "image->audio MedR": 4.5}
    result = {
        "protocol": "retrieval-class",
        "version": 1,
        "students": ["convnet"],
        "runs": [{"student": "convnet"}] * 2,
        "mean": mean,
        "chance": None,
        "chances": {name: 7.0 if "MedR" in name else 10.0 for name in mean},
        "units": {name: "rank" if "MedR" in name else "%" for name in mean},
        "majority": None,
    }
    table = score_table(result, None, 10)
    assert [(r.metric, r.unit, r.chance) for r in table.rows] == [
        ("Sound → Picture R@1", "%", 10.0),
        ("Sound → Picture MedR", "rank", 7.0),
        ("Picture → Sound R@1", "%", 10.0),
        ("Picture → Sound MedR", "rank", 7.0),
    ]
    assert table.headline is table.rows[0]
    assert table.chance is None
    page = read(write_report(make_run(tmp_path / "run", synthetic_set(), result=result)))
    text = " ".join(page.text.split())
    assert "MedR a rank of which less is better" in text
    assert "10 for Sound → Picture R@1, 7 for Sound → Picture MedR" in text
    assert "accuracy" not in text.partition("Scores")[0]
    assert sum(name == "class" and value == "fill" for _, name, value in page.attributes) == 2

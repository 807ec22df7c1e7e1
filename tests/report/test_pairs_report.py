"""The report of a set by pairs: what its text says now, how alike its pairs are, retrieval as the papers print it."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from limbeck.data.caption_embeddings import caption_embeddings
from limbeck.data.pairs import Pairs
from limbeck.data.writer import StoreWriter
from limbeck.errors import ConfigError, DataError
from limbeck.modalities import Image, Text
from limbeck.report import write_report
from limbeck.report.recalls import recall_grid
from limbeck.report.scores import score_table
from limbeck.report.similarity import similarity_heat
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.nearest import nearest_captions
from limbeck.synthetic.similarity import Factors, Similarity

WORDS = [
    ("a dog runs", "a brown dog"),
    ("two cats sleep", "cats on a sofa"),
    ("a climber on ice", "a climber on ice"),
    ("a red boat",),
]


def store_at(path, words=WORDS, own="minilm"):
    modalities = [Image(shape=(3, 8, 8)), Text(shape=(4,), embedding=own)]
    with StoreWriter(path, name="tiny", modalities=modalities, capacity=len(words) + 1) as writer:
        for k, captions in enumerate((*words, ("a test caption",))):
            arrays = {"image": np.full((3, 8, 8), 9 * k, np.uint8), "text": np.eye(5, 4, dtype=np.float16)[k]}
            split = "train" if k < len(words) else "test"
            writer.write(k, id=str(k), arrays=arrays, split=split, captions=tuple(captions))
        return writer.finish()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path):
    return store_at(tmp_path / "store")


def synthetic_of(store, similarity=None, **provenance):
    """Two of the training pairs, the text of each moved a little."""
    pairs = Pairs.of(store, "train", captions="hashing")
    values = pairs.batch([1, 4])
    values["text"] = 3 * values["text"] + 0.01
    about = {
        "method": "lors",
        "settings": {"pairs": 2, "captions": "hashing"},
        "data": {"name": "tiny", "path": str(store.path), "hash": store.data_hash},
        "steps_done": 5,
    }
    return SyntheticSet(
        pairs.modalities,
        values,
        captions=[(pairs.words(1),), (pairs.words(4),)],
        provenance=about | provenance,
        similarity=similarity,
    )


def alike(pairs, alpha=2.0):
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, pairs, 3, generator=draw)
    return Similarity(Factors(torch.arange(1.0, pairs + 1), left, right), alpha)


def save(folder, synthetic, result=None, looks=()):
    synthetic.save(folder / "synthetic")
    (folder / "config.json").write_text("{}")
    if result:
        (folder / "result.json").write_text(json.dumps(result))
    if looks:
        (folder / "validation.json").write_text(json.dumps({"looks": [{"step": s, "score": x} for s, x in looks]}))
        steps = [json.dumps({"step": i + 1, "loss": 1.0, "terms": {"pairs": 1.0}}) for i in range(5)]
        (folder / "metrics.jsonl").write_text("\n".join(steps))
    return folder


def page_of(folder):
    return " ".join(write_report(folder).read_text(encoding="utf-8").split())


def test_the_nearest_captions_are_those_of_largest_cosine(store):
    synthetic = synthetic_of(store)
    found, reason = nearest_captions(synthetic, [1, 0])
    assert not reason
    assert list(found) == [1, 0]
    pairs = Pairs.of(store, "train", captions="hashing")
    real = pairs.seconds(range(len(pairs))).double()
    own = synthetic.values["text"].double()
    cosines = torch.nn.functional.cosine_similarity(own[:, None], real[None], dim=2)
    for row, neighbours in found.items():
        expected = {}
        for k in cosines[row].argsort(descending=True).tolist():
            expected.setdefault(pairs.words(k)[0], float(cosines[row, k]))
        assert [n.words for n in neighbours][:2] == list(expected)[:2]
        assert [n.cosine for n in neighbours] == pytest.approx(list(expected.values())[:3], abs=1e-5)
        assert len({n.words for n in neighbours}) == 3  # the climber stands twice in the store
    assert found[0][0].words == "a brown dog"


def test_a_set_says_its_text_by_itself(store):
    synthetic = synthetic_of(store)
    found, _ = nearest_captions(synthetic, [0, 1])
    assert synthetic.text() == [[n.words for n in found[k]] for k in (0, 1)]
    pictures = SyntheticSet({"image": synthetic.modalities["image"]}, {"image": synthetic.values["image"]})
    with pytest.raises(ConfigError, match="holds no text"):
        pictures.text()


def test_chunks_change_no_neighbour(store, monkeypatch):
    synthetic = synthetic_of(store)
    whole = nearest_captions(synthetic, [0, 1])
    monkeypatch.setattr("limbeck.synthetic.nearest.CHUNK", 2)
    monkeypatch.setattr("limbeck.synthetic.nearest.COUNT", 3)
    parts = nearest_captions(synthetic, [0, 1])
    assert [[n.words for n in parts[0][k]] for k in (0, 1)] == [[n.words for n in whole[0][k]] for k in (0, 1)]


def test_a_stores_own_text_is_compared_with_itself(store):
    synthetic = synthetic_of(store)
    own = store.modalities["text"]
    values = {"image": synthetic.values["image"], "text": torch.eye(5, 4)[[2, 3]] + 0.1}
    modalities = {"image": synthetic.modalities["image"], "text": own}
    found, reason = nearest_captions(SyntheticSet(modalities, values, provenance=synthetic.provenance), [0, 1])
    assert not reason
    assert [found[k][0].words for k in (0, 1)] == ["a climber on ice", "a red boat"]


def test_nothing_is_embedded_for_a_page(store, tmp_path, monkeypatch):
    synthetic = synthetic_of(store)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "another"))
    found, reason = nearest_captions(synthetic, [0])
    assert not found
    assert "not in the cache" in reason
    assert not (tmp_path / "another").exists()
    with pytest.raises(DataError, match="not in the cache"):
        caption_embeddings(store, "hashing", make=False)
    caption_embeddings(store, "hashing")
    assert len(caption_embeddings(store, "hashing", make=False)) == 8


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        ({"data": {"path": "/nowhere"}}, "is not here"),
        ({"data": {}}, "does not say what it was made from"),
        ({"settings": {}}, "which encoder"),
        ({"settings": {"captions": "no-such"}}, "unknown sentence encoder"),
        ({"data": 7}, "does not say"),
    ],
)
def test_what_cannot_be_told_is_said_on_the_page(store, tmp_path, provenance, words):
    page = page_of(save(tmp_path / "run", synthetic_of(store, **provenance)))
    assert "nearest to cannot be told here" in page
    assert words in page
    assert "a brown dog" in page  # what it began with is the set's own
    assert "text now nearest to" not in page


def test_data_that_changed_are_not_compared_with(store):
    about = {"name": "tiny", "path": str(store.path), "hash": "0" * 64}
    found, reason = nearest_captions(synthetic_of(store, data=about), [0])
    assert not found
    assert "changed" in reason


def test_sets_without_distilled_text_have_no_neighbours(store):
    synthetic = synthetic_of(store, steps_done=0)
    assert nearest_captions(synthetic, [0]) == ({}, "")
    image = {"image": synthetic.modalities["image"]}
    assert nearest_captions(SyntheticSet(image, {"image": synthetic.values["image"]}), [0]) == ({}, "")


def test_a_page_shows_words_neighbours_and_validation(store, tmp_path):
    made = save(tmp_path / "run", synthetic_of(store), looks=[(0, 3.0), (5, 7.5), (10, 7.0)])
    page = page_of(made)
    for part in ("with the words", "text now nearest to", "<b>1.00</b>a brown dog", "PNG, NPY and", "that of step 5"):
        assert part in page, part
    assert 'id="similarity"' not in page
    (made / "validation.json").write_text('{"looks": [{"step": "x"}]}')
    assert "Validation" not in page_of(made)


def test_similarity_is_shown_entry_by_entry(store, tmp_path):
    synthetic = synthetic_of(store, similarity=alike(2))
    heat = similarity_heat(synthetic)
    matrix = synthetic.similarity.full()
    assert heat.own == pytest.approx((float(matrix.diag().min()), float(matrix.diag().max())))
    assert heat.scale == pytest.approx(float(max(abs(matrix[0, 1]), abs(matrix[1, 0]))))
    picture = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(heat.picture.partition(",")[2]))).convert("RGB"))
    assert picture.shape == (2, 2, 3)
    warm = picture[..., 0].astype(int) - picture[..., 2]
    assert ((warm > 20) == (matrix.numpy() > 0.2 * heat.scale)).all()
    page = page_of(save(tmp_path / "run", synthetic))
    assert "Matrix of 2 by 2 pairs" in page
    assert similarity_heat(synthetic_of(store)) is None


def test_the_identity_is_a_plain_diagonal(store):
    one = Similarity(Factors(torch.ones(2), torch.ones(2, 1), torch.zeros(2, 1)), 1.0)
    heat = similarity_heat(synthetic_of(store, similarity=one))
    assert (heat.scale, heat.own, heat.others) == (1.0, (1.0, 1.0), (0.0, 0.0))


def retrieval(metrics, students=("patches",), **other):
    mean = {metric: 1.0 + k for k, metric in enumerate(metrics)}
    each = {s: {"mean": {m: x + 10 * k for m, x in mean.items()}} for k, s in enumerate(students)}
    found = {
        "protocol": "retrieval-mdm",
        "version": 1,
        "selection": "last epoch",
        "split": "test",
        "students": list(students),
        "mean": mean,
        "runs": [{"student": s} for s in students for _ in range(5)],
        "chances": dict.fromkeys(metrics, 0.5),
        "items": 100,
    }
    return {**found, **({"by_student": each} if len(students) > 1 else {}), **other}


IMAGE_TEXT = [*(f"{way}@{k}" for way in ("IR", "TR") for k in (1, 5, 10)), "Mean"]


def test_recalls_stand_in_a_grid_as_the_papers_print_them():
    grid = recall_grid(score_table(retrieval(IMAGE_TEXT, ("nfnet", "vit")), None, 0))
    assert grid.cuts == [1, 5, 10]
    assert [(line.student, line.way, [s.mean for s in line.scores]) for line in grid.lines] == [
        ("nfnet", "Picture for a caption (IR)", [1, 2, 3]),
        ("nfnet", "Caption for a picture (TR)", [4, 5, 6]),
        ("vit", "Picture for a caption (IR)", [11, 12, 13]),
        ("vit", "Caption for a picture (TR)", [14, 15, 16]),
    ]
    assert {student: score.mean for student, score in grid.means.items()} == {"nfnet": 7, "vit": 17}
    sound = [*(f"{way} R@{k}" for way in ("audio->image", "image->audio") for k in (1, 5)), "Mean"]
    lines = recall_grid(score_table(retrieval(sound), None, 0)).lines
    assert [line.way for line in lines] == ["Sound → Picture", "Picture → Sound"]


def test_other_scores_have_no_grid():
    for metrics in (["fused", "image"], ["audio->image R@1", "audio->image R@5", "audio->image MedR"], ["IR@1"]):
        assert recall_grid(score_table(retrieval(metrics), None, 0)) is None
    assert recall_grid(None) is None


def test_a_page_leads_with_the_mean_recall_and_says_what_few_items_leave_open(store, tmp_path):
    whole = retrieval(IMAGE_TEXT, mean=dict.fromkeys(IMAGE_TEXT, 40.0))
    made = save(tmp_path / "run", synthetic_of(store), retrieval(IMAGE_TEXT, whole=whole, as_published=True))
    page = page_of(made)
    for part in (
        "Mean recall; the whole data gives 40.0",
        "of 40.0",
        "100 test items alone leave a standard error of 2.6 points",  # of 7 %
        "(as published)",
        "Each score with its interval",
    ):
        assert part in page, part
    assert "accuracy" not in page.lower().partition('id="gallery"')[0].rpartition("</style>")[2]

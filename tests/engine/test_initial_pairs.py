"""First sets of runs by pairs: caption rows are what is chosen, and noise is spread as they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.banks import pair_dynamics
from limbeck.data.store import PairedStore
from limbeck.data.writer import StoreWriter
from limbeck.engine.initial import initial_set
from limbeck.engine.initial_pairs import spread
from limbeck.engine.merging import clustering_network
from limbeck.engine.pair_evidence import TrainedPairs
from limbeck.engine.paired import paired
from limbeck.engine.plan import plan
from limbeck.errors import ConfigError, DataError
from limbeck.modalities import Image, Text
from limbeck.rng import numpy_stream

RUN = {"kernels": "literal", "channels": 4, "threads": 1, "device": "cpu", "captions": "hashing", "tower": "convnet",
       "pretrained": "none"}  # fmt: skip
CHOOSING = ("random", "herding", "kcenter", "forgetting", "kmeans")


def captioned(path, classes=()):
    """Ten pictures with one to three captions, 19 pairs; with classes, the last one has none."""
    modalities = [Text(shape=(2,)), Image(shape=(3, 8, 8), mean=(0.5, 0.4, 0.3), std=(0.3, 0.2, 0.1))]
    with StoreWriter(path, name="x", modalities=modalities, classes=classes, capacity=12) as writer:
        for k in range(12):
            image = numpy_stream(k, "picture").integers(0, 20 * k + 2, (3, 8, 8)).astype(np.uint8)
            label = {"label": k % 2 if k != 9 else -1} if classes else {}
            writer.write(
                k, id=f"i{k}", arrays={"image": image, "text": np.zeros(2, np.float16)},
                split="train" if k < 10 else "test", captions=tuple(f"dog {k} {i}" for i in range(1 + k % 3)), **label,
            )  # fmt: skip
        return writer.finish()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> PairedStore:
    return captioned(tmp_path_factory.mktemp("captioned") / "store")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    for name in ("WARM_UP", "FORGETTING"):
        recipe = dataclasses.replace(getattr(pair_dynamics, name), batch=8)
        monkeypatch.setattr(pair_dynamics, name, recipe)


def start(store, name="random", count=None, own=None, **settings):
    method = name if name in CHOOSING else "random"
    planned = plan(method, store, settings={**RUN, "pairs": 6, **settings}, method_settings=own)
    changed = dataclasses.replace(planned.settings, init=name)
    options, base = planned.method.selection_options, paired(planned)
    made = initial_set(
        store, changed, planned.numerics, {"a": 1}, options=options, paired=base, pairs=count
    )  # fmt: skip
    return made, base.pairs


def chosen(made, pairs):
    """Which pair each of the set is, by its words: no two captions are the same."""
    words = [pairs.words(i) for i in range(len(pairs))]
    return [words.index(item[0]) for item in made.captions]


@pytest.mark.parametrize("name", CHOOSING)
def test_the_set_is_real_pairs_none_of_them_twice(store, name):
    made, pairs = start(store, name, pairs=15)
    at = chosen(made, pairs)
    assert len(set(at)) == 15
    assert list(made.modalities) == ["image", "text"]
    assert made.modalities["text"].shape == (384,)
    expected = pairs.batch(at)
    assert all(torch.equal(made.values[k], expected[k]) for k in expected)
    assert made.provenance == {"a": 1, "real_items": [[pairs.name(i)] for i in at]}
    assert len({pairs.name(i) for i in at}) <= 10  # of ten pictures some are there with several captions
    assert made.labels is None
    again, _ = start(store, name, pairs=15)
    assert chosen(again, pairs) == at
    other = chosen(start(store, name, pairs=15, seed=1)[0], pairs)
    assert (other == at) == (name == "herding")  # has no draw


def test_a_method_may_hold_fewer_than_its_budget(store):
    six, pairs = start(store)
    five, _ = start(store, count=5)
    assert (len(six), len(five)) == (6, 5)
    assert chosen(five, pairs) == chosen(six, pairs)[:5]


def test_the_budget_is_in_pairs_not_pictures(store):
    assert len(start(store, pairs=19)[0]) == 19
    with pytest.raises(DataError, match=r"store: the training split has 19 pairs, fewer than the 20.*\n.*--pairs"):
        start(store, pairs=20)
    assert len(start(store, pairs=20, count=19)[0]) == 19


def test_labels_stay_where_all_have_one(tmp_path):
    store = captioned(tmp_path / "store", classes=("even", "odd"))
    made, pairs = start(store, pairs=3, seed=1)
    assert "i9" not in {row[0] for row in made.provenance["real_items"]}
    assert made.classes == ("even", "odd")
    assert made.labels.tolist() == [int(pairs.name(i)[1:]) % 2 for i in chosen(made, pairs)]
    every, _ = start(store, pairs=19)
    assert (every.labels, every.classes) == (None, ())


def test_other_modalities_are_one_pair_an_item(toy):
    made, pairs = start(toy, "kcenter", pairs=5)
    items = [row[0] for row in made.provenance["real_items"]]
    assert len(set(items)) == 5
    rows = [toy.ids.index(item) for item in items]
    assert all(torch.equal(made.values[n], toy.batch(n, np.array(rows))) for n in ("image", "audio"))
    assert [item[0] for item in made.captions] == [tuple(toy.captions[row]) for row in rows]
    assert made.labels.tolist() == [int(toy.labels[row]) for row in rows]
    assert len(pairs) == 80


def test_without_towers_a_run_by_pairs_is_as_it_was(toy):
    planned = plan("random", toy, settings={**RUN, "pairs": 5})
    made = initial_set(toy, planned.settings, planned.numerics, {})
    with_pairs, _ = start(toy, pairs=5)
    assert made.provenance["real_items"] == with_pairs.provenance["real_items"]
    assert len(initial_set(toy, planned.settings, planned.numerics, {}, pairs=4)) == 4


def test_forgetting_s_order_and_the_clusters_reach_the_choice(store):
    evidence = TrainedPairs(paired(planned := plan("random", store, settings={**RUN, "pairs": 6})), 0, planned.numerics)
    history = evidence.history
    falls = (history[:-1] & ~history[1:]).sum(0)
    rule = np.where(history.any(0), falls, 99)
    for order, best in (("most", sorted(rule)[-6:]), ("least", sorted(rule)[:6])):
        made, pairs = start(store, "forgetting", own={"order": order})
        assert sorted(rule[chosen(made, pairs)]) == best
    found = {c: chosen(*start(store, "kmeans", own={"cluster": c})) for c in ("joint", "first", "second")}
    assert found["joint"] != found["first"] != found["second"] != found["joint"]


def test_features_of_another_network_are_its_own(store):
    planned = plan("kmeans", store, settings={**RUN, "pairs": 6})
    base = paired(planned)
    weights = clustering_network(planned, base, model="pretrained")
    features = TrainedPairs(base, 0, planned.numerics).features("pretrained")
    known = base.towers.embed(weights, {"image": base.pairs.firsts(range(10)), "text": base.pairs.seconds(range(19))})
    for table, values in zip((features.images, features.captions), known.values(), strict=True):
        torch.testing.assert_close(table, torch.nn.functional.normalize(values, dim=1))
    assert features.owner.tolist() == base.pairs.owner.tolist()
    warmed = TrainedPairs(base, 0, planned.numerics).features("warm-up")
    assert not torch.allclose(warmed.images, features.images, atol=1e-2)


def test_noise_is_spread_as_the_real_values_are(store, monkeypatch):
    made, pairs = start(store, "noise", pairs=1000)
    images, texts = pairs.firsts(range(10)), pairs.seconds(range(19))
    for name, real, axes in (("image", images, (0, 2, 3)), ("text", texts, (0, 1))):
        mean, deviation = spread(pairs, name)
        torch.testing.assert_close(mean.flatten(), real.mean(axes).reshape(-1))
        torch.testing.assert_close(deviation.flatten(), real.std(axes, unbiased=False).reshape(-1))
        noise = made.values[name]
        torch.testing.assert_close(noise.mean(axes), real.mean(axes), atol=0.02, rtol=0)
        torch.testing.assert_close(noise.std(axes), real.std(axes), rtol=0.02, atol=0)
    assert (made.captions, made.labels, made.provenance) == (None, None, {"a": 1})
    same, other = start(store, "noise", pairs=1000)[0], start(store, "noise", pairs=1000, seed=1)[0]
    assert torch.equal(made.values["image"], same.values["image"])
    assert not torch.equal(made.values["image"], other.values["image"])
    monkeypatch.setattr("limbeck.engine.initial_pairs.SAMPLE", 4)
    assert not torch.equal(spread(pairs, "image")[0], images.mean((0, 2, 3)).view(3, 1, 1))


def test_a_plan_says_which_choices_there_are(toy):
    for name in ("grand", "davdd"):
        with pytest.raises(ConfigError, match=f"{name} takes no budget by pairs"):
            plan(name, toy, settings={**RUN, "pairs": 5})
    with pytest.raises(ConfigError, match="kmeans takes no budget by class"):
        plan("kmeans", toy, settings={"per_class": 1})
    with pytest.raises(ConfigError, match=r"forgetting looks at pairs through two towers"):
        plan("forgetting", toy, settings={"pairs": 5, "factor": 2})
    with pytest.raises(ConfigError, match=r"kmeans chooses pairs over all"):
        plan("dm", toy, settings={"init": "kmeans", "per_class": 1})

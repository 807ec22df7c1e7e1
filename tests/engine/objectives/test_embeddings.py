from __future__ import annotations

import pytest
import torch

import limbeck
from limbeck.augment import DSA
from limbeck.data.toy import make_toy
from limbeck.engine.estimate import estimate
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.objectives import embeddings
from limbeck.engine.objectives.embeddings import EmbeddingMatching
from limbeck.engine.paired import paired
from limbeck.engine.plan import plan
from limbeck.engine.sight import sight
from limbeck.errors import ConfigError
from limbeck.rng import stream

OWN = {"frequencies": 32}
SMALL = {
    "per_class": 2, "kernels": "literal", "channels": 8, "threads": 1, "device": "cpu", "real_batch": 6, "steps": 4,
}  # fmt: skip


def made(data, method="imagebinddc", cache=None, method_settings=None, **settings):
    told = SMALL | settings
    own = OWN | (method_settings or {}) if method == "imagebinddc" else method_settings
    planned = plan(method, data, settings=told, method_settings=own)
    base = paired(planned) if planned.by_pairs else None
    return planned, Loop(planned, initial_set(data, planned.settings, planned.numerics, {}, paired=base), cache)


def gradient(loop, step=0):
    loop._clear()
    terms = {}
    for found in loop.objective.parts(step):
        terms = {name: terms.get(name, 0) + value for name, value in found.items()}
    return terms, {name: value.grad.clone() for name, value in loop.synthetic.values.items()}


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


def literal_step(planned, loop, step=0):
    """The paper's reading, class by class, with complex exponentials; everything from the run's named streams."""
    settings, seed, store = planned.settings, planned.settings.seed, planned.store
    name = ("step", step)
    encoders = sight(planned).encoders
    weights = {m: e.init(stream(seed, *name, "network", m)) for m, e in encoders.items()}
    dsa = DSA(tuple(settings.augment.split("_")))
    width = next(iter(encoders.values())).embedding
    t = torch.randn(OWN["frequencies"], width, generator=stream(seed, *name, "frequencies", width))
    values = {m: v.detach().clone().requires_grad_() for m, v in loop.synthetic.values.items()}
    total = 0
    for c in range(len(store.classes)):
        rows = torch.tensor(store.rows("train", c))
        rows = rows[torch.randperm(len(rows), generator=stream(seed, *name, "real", c))[: settings.real_batch]]
        draw = dsa.draw(stream(seed, *name, "dsa", c))
        e, s = {}, {}
        for m, modality in planned.modalities.items():
            real, mine = store.batch(m, rows), values[m][2 * c : 2 * c + 2]
            if modality.spatial:
                real, mine = dsa(real, draw), dsa(mine, draw)
            e[m] = unit(encoders[m].embed(weights[m], real))
            s[m] = unit(encoders[m].embed(weights[m], mine))
            phi = [torch.exp(1j * (x.double() @ t.double().T)).mean(0) for x in (e[m], s[m])]
            total = total + 300 * (phi[0] - phi[1]).abs().square().mean()
        a, v = planned.modalities
        h, h_mine = (e[a] * e[v]).mean(0), (s[a] * s[v]).mean(0)
        total = total + 10 * (1 - torch.cosine_similarity(h, h_mine, dim=0))
        one, other = e[a].mean(0) * s[v].mean(0), e[v].mean(0) * s[a].mean(0)
        total = total + 10 * (1 - torch.cosine_similarity(one, other, dim=0))
    return total, dict(zip(values, torch.autograd.grad(total, list(values.values())), strict=True))


def test_a_step_is_the_papers(toy):
    planned, loop = made(toy)
    theirs, slopes = literal_step(planned, loop)
    terms, ours = gradient(loop)
    assert float(sum(terms.values())) == pytest.approx(theirs.item(), rel=1e-4)
    assert set(terms) == {"uni", "cross", "joint"}
    for name, slope in slopes.items():
        assert torch.allclose(ours[name], slope, atol=2e-4 * float(slope.abs().max()))


def test_cached_real_embeddings_change_no_bit(toy, tmp_path):
    first = made(toy, cache=tmp_path)[1]
    plain = gradient(made(toy)[1], 1)
    assert all(torch.equal(a, b) for a, b in zip(gradient(first, 1)[1].values(), plain[1].values(), strict=True))
    again = made(toy, cache=tmp_path)[1]
    assert all(torch.equal(a, b) for a, b in zip(gradient(again, 1)[1].values(), plain[1].values(), strict=True))
    assert again.objective.real_side.cache.hits == 1
    assert "1 steps from the cache" in again.objective.notes()[0]
    for loop in (first, again):
        loop.close()


def test_chunks_through_a_frozen_encoder_give_the_whole_gradient(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    given = {"encoder": "patches", "modalities": ("image", "audio"), "method_settings": {"cross": 0.0, "joint": 0.0}}
    loop = made(toy, per_class=3, factor=2, **given)[1]
    assert isinstance(loop.objective, EmbeddingMatching)
    whole = None
    for size in (1000, 2, 5):
        monkeypatch.setattr(embeddings, "CHUNK", size)
        terms, found = gradient(loop)
        whole = whole or (terms, found)
        for name, slope in found.items():
            assert slope.abs().max() > 0
            assert torch.allclose(slope, whole[1][name], atol=1e-5 * float(slope.abs().max()))


@pytest.mark.parametrize("method", ["dm", "avdd"])
def test_methods_of_means_look_through_a_frozen_encoder(toy, method, tmp_path, monkeypatch):
    """Their loss is that of the means of the cached embeddings."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    planned, loop = made(toy, method, encoder="patches", modalities=("image", "audio"), init="random", factor=1)
    terms, _ = gradient(loop)
    frozen, total = sight(planned).frozen, 0.0
    for c in range(len(toy.classes)):
        rows = torch.tensor(toy.rows("train", c))
        rows = rows[torch.randperm(len(rows), generator=stream(0, "step", 0, "real", c))[:6]]
        for name in planned.modalities:
            real = frozen.embed(name, toy.batch(name, rows)).mean(0)
            mine = frozen.embed(name, loop.synthetic.values[name].detach()[2 * c : 2 * c + 2]).mean(0)
            total += float((real - mine).square().sum())
    whole = float(sum(terms.values()))
    assert whole == pytest.approx(total * (21 if method == "avdd" else 1), rel=1e-4)


def test_views_are_the_augmentations_of_both_sides(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    given = {"encoder": "patches", "modalities": ("image",), "augment": "flip_cutout", "draws": 3}
    loop = made(toy, real_statistics="class", **given)[1]
    side = loop.objective.real_side
    eye = side.eye(0)
    assert eye.slot == side.view(0)
    (real,) = side.groups(eye, 0, [range(1)])
    items = toy.batch("image", torch.tensor(toy.rows("train", 0)))
    seen = eye.rows("image", items, [len(items)], [0], True)
    assert torch.allclose(real.rows["image"], seen, atol=1e-5)
    assert {side.view(step) for step in range(40)} == {0, 1, 2}


def test_what_is_fixed_stays_and_the_rest_moves(toy, tmp_path):
    done = limbeck.distill(
        "imagebinddc", toy, out=tmp_path / "run", per_class=1, steps=3, channels=8, fixed=("audio",), threads=1,
        method_settings=OWN,
    )  # fmt: skip
    before = limbeck.SyntheticSet.load(tmp_path / "run" / "initial")
    assert torch.equal(done.values["audio"], before.values["audio"])
    assert not torch.equal(done.values["image"], before.values["image"])


def test_one_modality_has_the_uni_modal_term_alone(toy):
    terms, _ = gradient(made(toy, modalities=("image",))[1])
    assert set(terms) == {"uni"}


def test_a_network_learns_where_the_sets_differ(toy):
    _, loop = made(toy, method_settings={"sampling": "network"}, lr=1e-6)
    before = {}
    for found in loop.run(2):
        before = before or {k: v.clone() for k, v in loop.objective.state().items()}
        assert found.terms["uni"] > 0
    after = loop.objective.state()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in after)
    _, again = made(toy, method_settings={"sampling": "network"}, lr=1e-6)
    again.objective.restore(after)
    assert all(torch.equal(after[name], x) for name, x in again.objective.state().items())


def test_a_network_climbs_once_for_each_class_where_the_set_steps_after_each(toy):
    given = {"method_settings": {"sampling": "network"}, "stepping": "per_class"}
    _, loop = made(toy, **given)
    frequencies = loop.objective.spectrum
    seen = []
    take = frequencies.accept

    def accept(proposed):
        width, leaf = next(iter(frequencies._now.items()))
        seen.append((leaf.detach().clone(), frequencies._network(width, frequencies._weights[width])))
        take(proposed)

    frequencies.accept = accept
    next(loop.run(1))
    assert len(seen) == len(toy.classes)
    for looked_at, current in seen:  # no class looks at what the network gave before it had moved
        assert torch.equal(looked_at, current)


@pytest.mark.parametrize("given", [{}, {"encoder": "patches"}])
def test_how_many_classes_go_together_changes_last_bits_only(toy, tmp_path, monkeypatch, given):
    """Hybrid pairs are drawn for each class, and the group is tuned by the clock."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    own = {"reading": "distribution", "cross": 10.0, "joint": 0.0} if not given else {"cross": 0.0, "joint": 0.0}
    loops = [made(toy, group=size, method_settings=own, **given)[1] for size in (1, 2, 4)]
    slopes = [gradient(loop)[1] for loop in loops]
    for name, slope in slopes[0].items():
        for other in slopes[1:]:
            assert torch.allclose(other[name], slope, atol=1e-4 * float(slope.abs().max()))


@pytest.mark.parametrize("given", [{}, {"streams": "authors", "seed": 3}, {"real_statistics": "class"}])
def test_methods_of_means_see_the_same_by_single_embeddings(toy, given):
    planned, loop = made(toy, "dm", fixed=("audio",), clip=1e-3, **given)
    terms, slopes = gradient(loop)
    loop.objective = EmbeddingMatching(planned, loop.synthetic)
    others = gradient(loop)
    assert float(others[0]["dm"]) == pytest.approx(float(terms["dm"]), rel=1e-5)
    for name, slope in slopes.items():
        assert torch.allclose(others[1][name], slope, atol=1e-5 * float(slope.abs().max()))
    assert not slopes["audio"].any()  # a fixed modality takes no part in what is clipped
    assert slopes["image"].any()


def test_the_rate_by_width_is_of_the_encoder_that_is_looked_through(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    planned, loop = made(toy, "dm", encoder="patches", lr_rule="width")
    widths = sight(planned).frozen.widths
    assert loop.rates == {name: pytest.approx(0.2 * 6272 / width) for name, width in widths.items()}


def test_an_estimate_looks_through_the_users_own_encoder(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_of_estimate.py").write_text("def flat(modality):\n    return lambda x: x.flatten(1)[:, :12]\n")
    planned = plan("imagebinddc", toy, settings=SMALL | {"encoder": "own_of_estimate:flat"}, method_settings=OWN)
    assert estimate(planned, trials=1)["seconds_per_step"] > 0


def test_modalities_that_cannot_be_compared_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    store = make_toy(tmp_path / "store", modalities=("image", "feature"), classes=3, per_class=(8, 2, 2))
    with pytest.raises(ConfigError, match="one width"):
        made(store, encoder="patches")


def test_an_estimate_embeds_nothing(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    planned = plan("imagebinddc", toy, settings=SMALL | {"encoder": "patches", "modalities": ("audio",)})
    about = estimate(planned, trials=1)
    assert about["seconds_per_step"] > 0
    assert any("real embeddings by patches" in stage for stage in about["first"])
    assert not list(tmp_path.rglob("*.npy"))
    told = about["cache_bytes"]
    made(toy, encoder="patches", modalities=("audio",))
    (kept,) = tmp_path.rglob("*.npy")
    assert 0 <= kept.stat().st_size - told < 256  # but for the head
    assert planned.settings.augment == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "patchs", "modalities": ("image",)}, "patches"),
        ({"fixed": ("imge",)}, "image"),
        ({"pretrained": "none"}, "Name an --encoder"),
        ({"modalities": ("image",), "fixed": ("image",)}, "nothing is left"),
        ({"fixed": ("image",), "init": "noise"}, "would stay noise"),
        ({"per_class": None, "pairs": 2, "modalities": ("image",)}, "two modalities"),
        ({"modalities": ("image",), "method_settings": {"uni": 0.0}}, "uni-modal term alone"),
        ({"method_settings": {"discrepancy": "mmd", "reading": "hybrid_means"}}, "no median distance"),
    ],
)
def test_bad_settings_are_told(toy, changes, message):
    with pytest.raises(ConfigError, match=message):
        made(toy, **changes)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"discrepancy": "mmd", "form": "root"}, "mmd has no form"),
        ({"discrepancy": "mmd", "sampling": "network"}, "mmd has no sampling"),
        ({"bandwidth": 0.5}, "cfd has no bandwidth"),
    ],
)
def test_settings_that_nothing_would_follow_are_told(toy, own, message):
    with pytest.raises(ConfigError, match=message):
        plan("imagebinddc", toy, settings=SMALL, method_settings=own)


def test_adam_takes_no_momentum(toy):
    with pytest.raises(ConfigError, match="moments of its own"):
        plan("dm", toy, settings=SMALL | {"optimiser": "adam", "momentum": 0.9})


@pytest.mark.parametrize(("method", "name"), [("davdd", "encoder"), ("dsa", "encoder")])
def test_methods_with_networks_of_their_own_take_no_encoder(toy, method, name):
    with pytest.raises(ConfigError, match="networks of its own"):
        plan(method, toy, settings={"per_class": 1, name: "patches"})

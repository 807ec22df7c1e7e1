from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import limbeck
from limbeck.engine import run as run_module
from limbeck.engine.statistics import StatisticsCache
from limbeck.errors import ConfigError, DataError, NumericsError, ResumeError

RUN = {"init": "random", "group": 4, "real_group": 4}


def distil(toy, out, small, method="dm", **settings):
    return limbeck.distill(method, toy, out=out, **{**small, **RUN, "per_class": 1, "steps": 6, **settings})


def same(a, b):
    return all(torch.equal(a.values[k], v) for k, v in b.values.items())


def test_a_run_folder_holds_everything(toy, small, tmp_path):
    done = distil(toy, tmp_path / "r", small)
    again = limbeck.load(tmp_path / "r")
    assert same(done, again)
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert (config["per_class"], config["steps"], config["factor"]) == (1, 6, 1)
    lines = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[0]["loss"] == pytest.approx(sum(lines[0]["terms"].values()))
    about = again.provenance
    assert about["data"]["hash"] == toy.data_hash
    assert about["versions"]["torch"] == torch.__version__
    assert len(about["real_items"]) == 4
    initial = limbeck.load(tmp_path / "r" / "initial")
    assert not same(initial, again)
    assert not (tmp_path / "r" / "checkpoint" / "state.safetensors").exists()


def test_equal_seeds_equal_bits_other_seeds_other_sets(toy, small, tmp_path):
    one, two = distil(toy, tmp_path / "a", small, cache=False), distil(toy, tmp_path / "b", small, cache=False)
    assert same(one, two)
    assert not same(one, distil(toy, tmp_path / "c", small, seed=1))


def test_cached_statistics_change_no_bit_and_serve_other_budgets(toy, small, tmp_path, monkeypatch):
    made = []
    original = StatisticsCache.__init__
    monkeypatch.setattr(StatisticsCache, "__init__", lambda self, *a: (original(self, *a), made.append(self))[0])
    without = distil(toy, tmp_path / "0", small, cache=False, seed=11)
    first = distil(toy, tmp_path / "1", small, seed=11)
    second = distil(toy, tmp_path / "2", small, seed=11)
    assert same(without, first)
    assert same(first, second)
    distil(toy, tmp_path / "3", small, "avdd", seed=11, per_class=2, factor=2, lr=0.001)
    assert [(c.hits, c.misses) for c in made] == [(0, 6), (6, 0), (6, 0)]


def test_a_torn_record_is_computed_again(toy, small, tmp_path, monkeypatch):
    made = []
    original = StatisticsCache.__init__
    monkeypatch.setattr(StatisticsCache, "__init__", lambda self, *a: (original(self, *a), made.append(self))[0])
    whole = distil(toy, tmp_path / "1", small, seed=12)
    data = bytearray(made[0].path.read_bytes())
    data[made[0].record_bytes * 2 + 50] ^= 255
    made[0].path.write_bytes(data[: made[0].record_bytes * 5 + 9])
    assert same(whole, distil(toy, tmp_path / "2", small, seed=12))
    assert (made[1].hits, made[1].misses) == (4, 2)


def test_a_full_cache_stops_growing(toy, small, tmp_path, monkeypatch):
    made = []
    original = StatisticsCache.__init__
    monkeypatch.setattr(StatisticsCache, "__init__", lambda self, *a: (original(self, *a), made.append(self))[0])
    unlimited = distil(toy, tmp_path / "1", small, seed=13)
    limit = made[0].record_bytes * 2.5 / 1e9
    made[0].path.unlink()
    assert same(unlimited, distil(toy, tmp_path / "2", small, seed=13, cache_limit=limit))
    assert made[1].path.stat().st_size == 2 * made[0].record_bytes


def test_half_precision_statistics_are_the_same_found_or_made(toy, small, tmp_path):
    one = distil(toy, tmp_path / "1", small, seed=14, cache_dtype="fp16")
    assert same(one, distil(toy, tmp_path / "2", small, seed=14, cache_dtype="fp16"))
    assert not same(one, distil(toy, tmp_path / "3", small, seed=14, cache=False))
    without = distil(toy, tmp_path / "4", small, seed=14, cache_dtype="fp16", cache=False)
    assert not same(one, without)
    assert one.provenance["run_hash"] != without.provenance["run_hash"]


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 5])
@pytest.mark.parametrize("stepping", ["step", "per_class"])
def test_a_stopped_run_goes_on_to_the_same_bits(toy, small, tmp_path, monkeypatch, after, stepping):
    whole = distil(toy, tmp_path / "whole", small, stepping=stepping)

    def stop_after(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        if state.step == after:
            raise Stop

    monkeypatch.setattr(run_module, "write_checkpoint", stop_after)
    with pytest.raises(Stop):
        distil(toy, tmp_path / "cut", small, stepping=stepping, checkpoint_every=0)
    monkeypatch.undo()
    again = limbeck.distill("dm", out=tmp_path / "cut", resume=True)
    assert same(whole, again)
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_ctrl_c_waits_for_the_step_and_the_run_goes_on(toy, small, tmp_path, monkeypatch):
    whole = distil(toy, tmp_path / "whole", small)
    seen = []

    def interrupt(self, metrics, write=run_module.MetricsFile.write):
        write(self, metrics)
        seen.append(metrics.step)
        if metrics.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(run_module.MetricsFile, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        distil(toy, tmp_path / "cut", small)
    assert seen == [1, 2]
    monkeypatch.undo()
    assert same(whole, limbeck.distill("dm", out=tmp_path / "cut", resume=True))


def test_an_error_keeps_what_was_reached(toy, small, tmp_path, monkeypatch):
    from limbeck.engine.objectives.means import MeanMatching

    real = MeanMatching.real

    def fail(self, eye):
        found = real(self, eye)
        return found if eye.slot < 3 else {k: v * torch.inf for k, v in found.items()}

    monkeypatch.setattr(MeanMatching, "real", fail)
    with pytest.raises(NumericsError, match="step 3"):
        distil(toy, tmp_path / "r", small)
    monkeypatch.undo()
    assert same(distil(toy, tmp_path / "whole", small), limbeck.distill("dm", out=tmp_path / "r", resume=True))


def test_resuming_with_other_settings_is_refused(toy, small, tmp_path):
    distil(toy, tmp_path / "r", small)
    with pytest.raises(ResumeError, match="steps 6 -> 7"):
        limbeck.distill("dm", out=tmp_path / "r", resume=True, steps=7)
    with pytest.raises(ResumeError, match="method dm -> avdd"):
        limbeck.distill("avdd", out=tmp_path / "r", resume=True)
    with pytest.raises(ResumeError, match="no run was started"):
        limbeck.distill("dm", out=tmp_path / "nothing", resume=True)
    assert same(limbeck.load(tmp_path / "r"), limbeck.distill("dm", out=tmp_path / "r", resume=True))


def test_an_edited_checkpoint_is_refused(toy, small, tmp_path, monkeypatch):
    def stop(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        raise Stop

    monkeypatch.setattr(run_module, "write_checkpoint", stop)
    with pytest.raises(Stop):
        distil(toy, tmp_path / "r", small, checkpoint_every=0)
    monkeypatch.undo()
    state = tmp_path / "r" / "checkpoint" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(ResumeError, match="not readable"):
        limbeck.distill("dm", out=tmp_path / "r", resume=True)


def test_a_used_folder_is_refused(toy, small, tmp_path):
    distil(toy, tmp_path / "r", small)
    with pytest.raises(ConfigError, match="a finished run is here"):
        distil(toy, tmp_path / "r", small)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not an empty folder"):
        distil(toy, tmp_path / "other", small)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="not a folder"):
        distil(toy, tmp_path / "file", small)


@pytest.mark.parametrize(
    ("method", "settings", "kind", "message"),
    [
        ("avd", {}, ConfigError, "Did you mean 'avdd'"),
        ("dm", {"stepz": 3}, ConfigError, "Did you mean 'steps'"),
        ("dm", {"lr": "fast"}, ConfigError, "lr is 'fast'"),
        ("dm", {"per_class": 21}, DataError, "has 20 training items"),
        ("dm", {"per_class": 6, "factor": 2}, DataError, "fewer than the 24"),
        ("davdd", {"per_class": None, "pairs": 5}, ConfigError, "davdd takes no budget by pairs"),
        ("dm", {"modalities": ("sound",)}, ConfigError, "no modality 'sound'"),
        ("avdd", {"modalities": ("audio",)}, ConfigError, "avdd needs 2 or more modalities"),
        ("random", {"steps": 3}, ConfigError, "takes no steps"),
        ("dm", {"init": "herdin"}, ConfigError, "Did you mean 'herding'"),
        ("dm", {"augment": "colour"}, ConfigError, "Did you mean 'color'"),
        ("dm", {"device": "gpu"}, ConfigError, "unknown device"),
        ("dm", {"lr": float("inf")}, ConfigError, "lr inf"),
        ("mtt", {"stepping": "per_class"}, ConfigError, "mtt looks at all classes at once"),
        ("mtt", {"streams": "authors"}, ConfigError, "mtt looks through trained networks"),
        ("davdd", {"streams": "authors"}, ConfigError, "davdd looks through trained networks"),
    ],
)
def test_what_does_not_fit_is_said(toy, small, tmp_path, method, settings, kind, message):
    given = {k: v for k, v in {**small, **RUN, "per_class": 1, **settings}.items() if v is not None}
    with pytest.raises(kind, match=message):
        limbeck.distill(method, toy, out=tmp_path / "r", **given)


def test_coresets_are_real_items(toy, tmp_path):
    done = limbeck.distill("random", toy, out=tmp_path / "r", per_class=3)
    ids = [i for row in done.provenance["real_items"] for i in row]
    rows = [list(toy.ids).index(i) for i in ids]
    assert torch.equal(done.values["image"], toy.batch("image", rows))
    assert done.labels.tolist() == toy.labels[rows].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert done.captions == [(toy.captions[row],) for row in rows]
    pairs = limbeck.distill("random", toy, out=tmp_path / "p", pairs=5)
    assert len(pairs) == 5


def test_pairs_have_labels_only_where_each_item_has_one(toy, tmp_path):
    whole = limbeck.distill("random", toy, out=tmp_path / "w", pairs=5)
    assert whole.labels.tolist() == [toy.labels[list(toy.ids).index(i)] for (i,) in whole.provenance["real_items"]]
    assert whole.classes == toy.classes
    packed = limbeck.distill("random", toy, out=tmp_path / "p", pairs=3, factor=2)
    rows = [[list(toy.ids).index(i) for i in item] for item in packed.provenance["real_items"]]
    assert any(len({toy.labels[row] for row in item}) > 1 for item in rows)  # so that no label would be true
    assert (packed.labels, packed.classes) == (None, ())
    assert packed.decoded_captions == [toy.captions[item[cell]] for cell in range(4) for item in rows]


def test_a_partly_labelled_store_gives_pairs(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "labels", np.where(np.arange(len(toy)) % 3, toy.labels, -1))
    done = limbeck.distill("random", toy, out=tmp_path / "r", pairs=9)
    assert (done.labels, done.classes, len(done)) == (None, (), 9)
    assert len(limbeck.load(tmp_path / "r")) == 9


def test_the_factor_packs_picks_in_order(toy, tmp_path):
    done = limbeck.distill("random", toy, out=tmp_path / "r", per_class=2, factor=2)
    plain = limbeck.distill("random", toy, out=tmp_path / "p", per_class=8)
    picked = [i for (i,) in plain.provenance["real_items"]]
    assert done.provenance["real_items"][0] == picked[0:8:2]
    assert done.provenance["real_items"][1] == picked[1:8:2]
    half = torch.nn.functional.avg_pool2d(plain.values["image"][0], 2)
    assert torch.allclose(done.values["image"][0][:, :8, :8], half, atol=1e-5)
    below = torch.nn.functional.avg_pool2d(plain.values["image"][2], 2)
    assert torch.allclose(done.values["image"][0][:, 8:, :8], below, atol=1e-5)


def test_two_processes_cannot_share_a_run(toy, small, tmp_path):

    (tmp_path / "r").mkdir()
    lock = str(tmp_path / "r" / ".lock")
    code = f"import filelock; lock = filelock.FileLock({lock!r}); lock.acquire(); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ResumeError, match="another process"):
            distil(toy, tmp_path / "r", small)
        other.communicate(b"\n")


def test_tensorboard_holds_each_step_once(toy, small, tmp_path, monkeypatch):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def stop(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        if state.step == 3:
            raise Stop

    monkeypatch.setattr(run_module, "write_checkpoint", stop)
    with pytest.raises(Stop):
        distil(toy, tmp_path / "r", small, tensorboard=True, checkpoint_every=0)
    monkeypatch.undo()
    limbeck.distill("dm", out=tmp_path / "r", resume=True)
    found = events.EventAccumulator(str(tmp_path / "r" / "tensorboard"))
    found.Reload()
    assert [e.step for e in found.Scalars("loss/dm")] == [1, 2, 3, 4, 5, 6]


def test_a_missing_tensorboard_is_said_before_anything_is_done(toy, small, tmp_path, monkeypatch):
    import importlib.util

    from limbeck.errors import MissingDependencyError

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name))
    with pytest.raises(MissingDependencyError, match=r"limbeck\[tensorboard\]"):
        distil(toy, tmp_path / "r", small, tensorboard=True)
    assert not (tmp_path / "r" / "config.json").exists()


def test_avdd_and_rescaled_dm_are_one_run(toy, small, tmp_path):
    settings = {"lr": 0.005, "init": "random", "group": 4, "real_group": 4, "per_class": 2, "steps": 10}
    avdd = limbeck.distill("avdd", toy, out=tmp_path / "a", **{**small, **settings})
    dm = limbeck.distill("dm_rescaled", toy, out=tmp_path / "d", **{**small, **settings})
    start = limbeck.load(tmp_path / "a" / "initial")
    for name, value in avdd.values.items():
        moved = (value - start.values[name]).abs().max()
        assert moved > 0.05
        assert (value - dm.values[name]).abs().max() < 1e-3 * moved


def test_equal_weights_are_blind_to_pairs(toy, small, tmp_path):
    """The negative control: real pairs shuffled within their class change nothing about AVDD as published."""
    from limbeck.data.store import PairedStore

    class Shuffled(PairedStore):
        def batch(self, modality, rows, device="cpu"):
            rows = torch.as_tensor(rows)
            if modality == "audio" and set(self.labels[rows.numpy()]) == {self.labels[int(rows[0])]}:
                rows = rows.flip(0)
            return super().batch(modality, rows, device)

    settings = {**small, "lr": 0.002, "init": "random", "group": 4, "real_group": 1, "per_class": 1, "steps": 5}
    plain = limbeck.distill("avdd", toy, out=tmp_path / "a", cache=False, **settings)
    shuffled = limbeck.distill("avdd", Shuffled.open(toy.path), out=tmp_path / "b", cache=False, **settings)
    start = [limbeck.load(tmp_path / n / "initial").values["image"] for n in "ab"]
    assert torch.equal(*start)
    moved = (plain.values["image"] - start[0]).abs().max()
    assert (plain.values["image"] - shuffled.values["image"]).abs().max() < 1e-3 * moved


def test_a_run_moves_with_its_data(toy, small, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(toy.path, tmp_path / "st")
    monkeypatch.chdir(tmp_path)

    def stop(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        raise Stop

    monkeypatch.setattr(run_module, "write_checkpoint", stop)
    with pytest.raises(Stop):
        distil("st", "r", small, checkpoint_every=0)
    monkeypatch.undo()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="st"):
        limbeck.distill("dm", out=tmp_path / "r", resume=True)
    done = limbeck.distill("dm", "../st", out=tmp_path / "r", resume=True)
    assert same(done, distil(toy, tmp_path / "whole", small))


def test_a_five_step_run_is_what_it_was(toy, small, tmp_path):
    """A golden: sums of the set after five steps; a change here is a change of everybody's results."""
    done = distil(toy, tmp_path / "r", small, steps=5, seed=0, lr=0.02)
    sums = {name: [float(v.sum()), float(v.square().sum())] for name, v in done.values.items()}
    assert sums == {name: pytest.approx(golden, rel=1e-3) for name, golden in GOLDEN.items()}


GOLDEN = {"image": [851.868, 1916.375], "audio": [24.738, 1263.471]}


def test_settings_are_checked_before_a_folder_is_made(toy, tmp_path):
    for wrong in ({"init": "herdin"}, {"augment": "color__crop"}, {"modalities": ("sound",)}, {"per_class": 99}):
        with pytest.raises((ConfigError, DataError)):
            limbeck.distill("dm", toy, out=tmp_path / "r", **wrong)
        assert not (tmp_path / "r").exists()


def test_vectors_have_no_cells(tmp_path, small):
    from limbeck.data.toy import make_toy

    store = make_toy(tmp_path / "store", modalities=("image", "text"))
    done = limbeck.distill("avdd", store, out=tmp_path / "r", **{**small, "init": "random", "steps": 1, "lr": 0.001})
    assert done.factor == 1
    with pytest.raises(ConfigError, match="height and width"):
        limbeck.distill("avdd", store, out=tmp_path / "s", factor=2)


def test_a_step_that_would_leave_the_finite_is_not_taken(toy, small, tmp_path):
    with pytest.raises(NumericsError, match="the step of"):
        distil(toy, tmp_path / "r", small, "avdd", lr=3e38, init="random", factor=1)
    assert not (tmp_path / "r" / "synthetic").exists()


def test_a_full_disk_ends_the_cache_and_not_the_run(toy, small, tmp_path, monkeypatch):
    whole = distil(toy, tmp_path / "0", small, cache=False, seed=21)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("limbeck.engine.statistics.os.pwrite", full)
    assert same(whole, distil(toy, tmp_path / "1", small, seed=21))


def test_a_cache_file_that_is_only_read_stays(toy, small, tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.engine.statistics.FILES", 2)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    limit = {"cache_limit": 6.5 * (4 * 2 * 8 * 16 * 4 + 8) / 1e9}
    distil(toy, tmp_path / "0", small, seed=0, **limit)
    (first,) = (tmp_path / "cache" / "statistics").glob("*.bin")
    for seed in range(1, 3):
        os.utime(first, (0, 0))  # as if long ago
        distil(toy, tmp_path / f"{seed} before", small, seed=0, **limit)
        distil(toy, tmp_path / str(seed), small, seed=seed, **limit)
    assert first.exists()


def test_old_cache_files_make_room(toy, small, tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.engine.statistics.FILES", 2)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    record = 4 * 2 * 8 * 16 * 4 + 8
    for seed in range(4):
        distil(toy, tmp_path / str(seed), small, seed=seed, cache_limit=6.5 * record / 1e9)
    assert len(list((tmp_path / "cache" / "statistics").glob("*.bin"))) == 2
    assert len(list((tmp_path / "cache" / "statistics").glob("*.json"))) == 2


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("run.json", {}),
        ("run.json", {"method": "dm", "numerics": 5, "data": {"hash": "x"}}),
        ("config.json", {}),
    ],
)
def test_a_damaged_run_folder_is_refused(toy, small, tmp_path, file, damage):
    distil(toy, tmp_path / "r", small)
    (tmp_path / "r" / file).write_text(json.dumps(damage))
    with pytest.raises(ResumeError, match="damaged"):
        limbeck.distill("dm", out=tmp_path / "r", resume=True)


def test_tensors_of_another_shape_are_not_spread_over_the_set(toy, small, tmp_path, monkeypatch):
    from limbeck.engine.checkpoint import Checkpoint

    def smaller(folder, state, write=run_module.write_checkpoint):
        values = {k: v[:1, :1, :1, :1] for k, v in state.values.items()}
        write(folder, Checkpoint(**{**state.__dict__, "values": values}))
        raise Stop

    monkeypatch.setattr(run_module, "write_checkpoint", smaller)
    with pytest.raises(Stop):
        distil(toy, tmp_path / "r", small, checkpoint_every=0)
    monkeypatch.undo()
    with pytest.raises(ResumeError, match="does not fit"):
        limbeck.distill("dm", out=tmp_path / "r", resume=True)

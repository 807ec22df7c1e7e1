"""What each of several ranks takes of the work, seen in one process."""

from __future__ import annotations

import pytest
import torch

from limbeck.cli import main
from limbeck.engine.groups import even_group, groups
from limbeck.engine.initial import initial_set
from limbeck.engine.launch import launched, speaks
from limbeck.engine.loop import Loop
from limbeck.engine.paired import paired
from limbeck.engine.plan import plan
from limbeck.engine.ranks import Ranks
from limbeck.errors import ConfigError, RankError

SETTINGS = {"kernels": "literal", "channels": 8, "threads": 1, "device": "cpu", "real_batch": 8, "steps": 1}
CLASS = SETTINGS | {"per_class": 2, "init": "random", "group": 1, "real_group": 1}
PAIRS = SETTINGS | {
    "pairs": 7, "tower": "convnet", "pretrained": "none", "validate": "none", "captions": "hashing", "init": "random",
}  # fmt: skip
METHODS = {
    "dm": (CLASS, {}),
    "dsa": (CLASS, {"outer": 1, "inner": 1}),
    "imagebinddc": (CLASS, {"frequencies": 8}),
    "mtt": (CLASS, {"experts": 1}),
    "mdm": (PAIRS, {"experts": 2, "expert_epochs": 1, "agreement": 0.0, "discrepancy": 0.0}),
}


class Deaf:
    """Links to nobody: a rank hears only itself."""

    def sum_(self, tensor: torch.Tensor) -> None: ...

    from_first_ = sum_

    def tell(self, value):
        return None if value is None else value()

    def any(self, flag):
        return flag

    def every(self, value):
        return [value, value]


def slopes(toy, name, ranks):
    """By modality the gradient a rank finds by itself, and its terms."""
    settings, own = METHODS[name]
    planned = plan(name, toy, settings=settings, method_settings=own)
    base = paired(planned) if planned.by_pairs else None
    start = initial_set(toy, planned.settings, planned.numerics, {}, paired=base)
    loop = Loop(planned, start, ranks=ranks)
    for value in start.values.values():
        value.grad = torch.zeros_like(value)
    for _ in loop.objective.parts(0):
        pass
    return {modality: value.grad for modality, value in start.values.items()}


@pytest.mark.parametrize("name", METHODS)
def test_each_looks_at_its_own_part(toy, name):
    """Of disjoint rows (of MTT, modalities): what neither looks at twice, and both together not at all less."""
    one, two = (slopes(toy, name, Ranks(rank, 2, Deaf())) for rank in (0, 1))
    touched = [{k: g.flatten(1).abs().sum(1) > 0 for k, g in found.items()} for found in (one, two)]
    assert not any((touched[0][k] & touched[1][k]).any() for k in one)
    if name != "mdm":  # its loss is of all, which nobody has told here
        whole = slopes(toy, name, Ranks.alone())
        for modality, slope in whole.items():
            torch.testing.assert_close(one[modality] + two[modality], slope, rtol=1e-5, atol=1e-6)
    for found in touched:
        assert 1 <= sum(int(rows.sum()) for rows in found.values()) < sum(len(rows) for rows in found.values())


def test_alone_everything_is_ones_own():
    ranks, tensor = Ranks.alone(), torch.ones(3)
    ranks.sum_([tensor])
    ranks.from_first_([tensor])
    assert tensor.tolist() == [1, 1, 1]
    assert ranks.share(range(5)) == range(5)
    assert ranks.part(5) == slice(0, 5)
    assert (ranks.tell(lambda: 3), ranks.any(True), ranks.every(2)) == (3, True, [2])
    assert ranks.first
    assert not ranks.many


@pytest.mark.parametrize(("count", "size"), [(7, 2), (2, 2), (9, 4)])
def test_shares_and_parts_cover_all_once(count, size):
    every = [Ranks(rank, size, Deaf()) for rank in range(size)]
    assert sorted(x for ranks in every for x in ranks.share(range(count))) == list(range(count))
    parts = [range(count)[ranks.part(count)] for ranks in every]
    assert [x for part in parts for x in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("size", "classes", "ranks", "wanted"), [
    (4, 10, 2, 5), (10, 10, 2, 5), (3, 10, 1, 3), (4, 4, 4, 1), (2, 11, 2, 2), (1, 10, 2, 1),
])  # fmt: skip
def test_groups_fall_evenly(size, classes, ranks, wanted):
    found = even_group(size, classes, ranks)
    assert found == wanted
    every = groups(classes, found)
    most = max(sum(map(len, every[rank::ranks])) for rank in range(ranks))
    assert ranks == 1 or most == -(-classes // ranks)


def test_sums_of_several_types_are_put_back():
    class Double(Deaf):
        def sum_(self, tensor):
            tensor.mul_(2)

    a, b, c = torch.ones(2, 3), torch.ones(()), torch.ones(2, dtype=torch.float64)
    Ranks(0, 2, Double()).sum_([a, b, c, a.new_zeros(0)])
    assert [float(x.sum()) for x in (a, b, c)] == [12, 2, 4]


def started(monkeypatch, rank="1", size="2"):
    for name, value in {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)


def test_one_of_many_speaks(monkeypatch):
    assert launched() is None
    assert speaks()
    started(monkeypatch)
    assert launched().rank == 1
    assert not speaks()
    error = RankError("x")
    error.said = False
    assert speaks(error)
    started(monkeypatch, rank="0")
    error.said = True
    assert not speaks(error)
    started(monkeypatch, size="1")
    assert launched() is None
    started(monkeypatch, size="two")
    with pytest.raises(ConfigError, match="WORLD_SIZE 'two'"):
        launched()
    assert speaks()  # of this, each one


def test_other_verbs_are_one_processs(monkeypatch, capsys):
    started(monkeypatch, rank="0")
    assert main(["methods"]) == 2
    assert "`limbeck methods` runs in one process" in capsys.readouterr().err
    started(monkeypatch, rank="1")
    assert main(["methods"]) == 2
    assert capsys.readouterr() == ("", "")

"""Inner steps of towers stand on what their experts stood on, whatever the run's kernels and precision."""

from __future__ import annotations

import dataclasses

import torch

from limbeck.banks import contrastive
from limbeck.engine.initial import initial_set
from limbeck.engine.objectives.pair_trajectories import PairTrajectories
from limbeck.engine.paired import paired
from limbeck.engine.plan import plan
from tests.evaluation.paired_toy import paired_store


def test_half_precision_moves_no_value_that_networks_share(tmp_path, monkeypatch, small):
    """The pretrained copy of a run in half precision is another than that of one in single precision."""
    short = dataclasses.replace(contrastive.COPY_RECIPE, epochs=1, drops=())
    monkeypatch.setattr(contrastive, "COPY_RECIPE", short)
    trained = []
    original = contrastive.train_pairs
    monkeypatch.setattr(contrastive, "train_pairs", lambda *a, **k: trained.append(1) or original(*a, **k))
    given = {"pairs": 6, "captions": "hashing", "validate": "none", "frozen": True, "precision": "bf16"}
    planned = plan(
        "tesla_wbce", paired_store(tmp_path / "store"), settings={**small, **given, "tower": "convnet"},
        method_settings={"experts": 1, "expert_batch": 8},
    )  # fmt: skip
    own = paired(planned)
    synthetic = initial_set(planned.store, planned.settings, planned.numerics, {}, paired=own)
    objective = PairTrajectories(planned, synthetic)
    assert len(trained) == 1  # no second copy for the twins
    for name, tower in own.towers.towers.items():
        twin = objective.towers[name]
        for ours, theirs in ((tower.constants, twin.constants), (tower.start or {}, twin.start or {})):
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(w, theirs[k]) for k, w in ours.items())
    net = objective.towers["image"].frozen
    assert (net.precision, net.kernels) == ("fp32", "literal")
    single = dataclasses.replace(planned, numerics=dataclasses.replace(planned.numerics, precision="fp32"), made={})
    others = paired(single).towers.towers["image"].constants
    assert not all(torch.equal(w, others[k]) for k, w in objective.towers["image"].constants.items())

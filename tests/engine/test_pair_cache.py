"""What a run by pairs keeps in half precision is what its experts moved."""

from __future__ import annotations

import pytest
import torch

import limbeck
from limbeck.banks.pair_experts import PairExperts
from tests.evaluation.paired_toy import paired_store

RUN = {
    "pairs": 8, "tower": "convnet", "pretrained": "none", "captions": "hashing", "channels": 8, "threads": 1,
    "device": "cpu", "kernels": "literal", "real_batch": 16, "steps": 2, "validate": "none", "lr": 5.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "own"), [("mdm", {"experts": 2, "expert_epochs": 2}), ("mtt_vl", {"experts": 2})]
)  # fmt: skip
def test_half_precision_reaches_the_experts_and_rounds_them(tmp_path, monkeypatch, name, own):
    store, halves = paired_store(tmp_path / "store"), []
    build = PairExperts.build

    def watched(*args, **kwargs):
        halves.append(kwargs["half"])
        return build(*args, **kwargs)

    monkeypatch.setattr(PairExperts, "build", watched)
    sets = [
        limbeck.distill(
            name, store, out=tmp_path / dtype, cache_dtype=dtype, method_settings={**own, "expert_batch": 16}, **RUN
        )
        for dtype in ("fp32", "fp16")
    ]
    assert halves[0] is False
    assert halves[-1] is True
    full, half = (torch.cat([v.flatten() for v in s.values.values()]) for s in sets)
    assert not torch.equal(full, half)
    assert torch.allclose(full, half, atol=0.05 * float(full.abs().max()))

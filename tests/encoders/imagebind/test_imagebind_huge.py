"""The published size for real: 4.8 GB written and read again. LIMBECK_TEST_HUGE=1 runs it, a minute of a free CPU."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from limbeck.encoders.imagebind import HUGE, draw_weights, load_modality, module_of
from limbeck.encoders.imagebind.model import on_meta
from limbeck.rng import stream

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("LIMBECK_TEST_HUGE") != "1", reason="LIMBECK_TEST_HUGE=1 runs it: 12 GB, 5 GB"),
]


def test_all_of_it_is_saved_and_each_modality_comes_back(tmp_path: Path) -> None:
    path, state = tmp_path / "imagebind_huge.pth", {}
    for part in HUGE.parts:
        state |= dict(on_meta(part, HUGE.embedding).named_buffers()) | draw_weights(part, 1024, stream(0, part.kind))
    assert len(state) == 1311
    sums = {name: float(w.sum()) for name, w in state.items()}
    torch.save(state, path)
    del state
    assert 4.8e9 < path.stat().st_size < 4.81e9
    for part in HUGE.parts:
        found = load_modality(path, HUGE, part.kind)
        assert {n: float(w.sum()) for n, w in found.items()} == {n: sums[n] for n in found}
        module = module_of(part, HUGE.embedding, found)
        shape = (1, *part.input)
        ids, noise = (
            torch.randint(49_408, shape, generator=stream(0, "x")),
            torch.randn(shape, generator=stream(0, "x")),
        )
        start = time.process_time()
        with torch.no_grad():
            y = module(ids if part.kind == "text" else noise)
        print(f"{part.kind}: {time.process_time() - start:.2f} s of CPU an item")
        torch.testing.assert_close(y.norm(dim=1), torch.tensor([part.scale]))

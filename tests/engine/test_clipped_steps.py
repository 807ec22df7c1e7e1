"""A step of a clipped run: one norm over both modalities, then momentum, which moves pairs that were not looked at."""

from __future__ import annotations

import torch

from limbeck.data.pairs import Pairs
from limbeck.engine.loop import Loop
from limbeck.engine.plan import plan
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from tests.evaluation.paired_toy import paired_store

RATE, CLIP, MOMENTUM = 3.0, 1.0, 0.5


def test_steps_are_clipped_as_one_and_drift(tmp_path, small):
    store = paired_store(tmp_path / "store")
    settings = {"pairs": 6, "tower": "convnet", "pretrained": "none", "captions": "hashing", "validate": "none"}
    planned = plan("mdm", store, settings={**small, **settings, "lr": RATE}, method_settings={"model": "pretrained"})
    assert (planned.settings.clip, planned.settings.momentum) == (CLIP, MOMENTUM)  # the paper's
    pairs = Pairs.of(store, "train", captions="hashing")
    loop = Loop(planned, SyntheticSet(dict(pairs.modalities), pairs.batch(range(6))))

    def given(step):  # gradients of all sizes, of the even pairs in even steps and of the odd ones in odd steps
        for k, (name, value) in enumerate(loop.synthetic.values.items()):
            found = torch.randn(value.shape, generator=stream(step, name)) * (5.0, 1e-3)[step // 2 % 2] * (1, 0.1)[k]
            found[1 - step % 2 :: 2] = 0
            value.grad += found
        yield {"contrast": torch.ones(())}

    loop.objective.parts = given
    values = {name: v.detach().clone().double() for name, v in loop.synthetic.values.items()}
    buffers = {name: torch.zeros_like(v) for name, v in values.items()}
    norms = []
    for step in range(4):
        before = {name: v.detach().clone() for name, v in loop.synthetic.values.items()}
        next(loop.run(step + 1))
        own = {
            name: torch.randn(v.shape, generator=stream(step, name)).double() * (5.0, 1e-3)[step // 2] * (1, 0.1)[k]
            for k, (name, v) in enumerate(values.items())
        }
        for gradient in own.values():
            gradient[1 - step % 2 :: 2] = 0
        norms.append(float(torch.cat([g.flatten() for g in own.values()]).norm()))
        for name, gradient in own.items():
            buffers[name] = MOMENTUM * buffers[name] + gradient * min(1.0, CLIP / norms[-1])
            values[name] = values[name] - RATE * buffers[name]
            moved = (loop.synthetic.values[name] - before[name]).flatten(1).any(1)
            assert moved.all() if step else moved.tolist() == [True, False] * 3
            torch.testing.assert_close(loop.synthetic.values[name].double(), values[name], rtol=1e-4, atol=1e-5)
    assert max(norms) > CLIP > min(norms)  # some steps are clipped and some are not

"""The whole training split is measured once, however many ask for it at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from limbeck.evaluation import whole


def test_whoever_comes_second_waits_for_the_first(monkeypatch):
    measured = []

    def score(*_):
        measured.append(1)
        time.sleep(0.3)
        return {"settings": {}, "runs": [len(measured)]}

    monkeypatch.setattr(whole, "score", score)
    store, settings = SimpleNamespace(data_hash="asked at once"), {"protocol": "recognition-avdd"}
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(whole.score_whole, store, ("image",), settings, {}, [0], False) for _ in range(3)]
    assert [one.result() for one in asked] == [{"settings": {}, "runs": [1]}] * 3
    assert len(measured) == 1
    assert whole.score_whole(store, ("image",), settings, {}, [1], False, train=False) is None
    whole.score_whole(store, ("image",), settings, {"save_weights": "here"}, [0], False)
    assert len(measured) == 2  # weights are written by students that are trained

"""The step that the validation split chooses, killed runs included."""

from __future__ import annotations

import pytest
import torch

from limbeck.engine.best import Best, as_of, clear
from limbeck.errors import FormatError
from limbeck.modalities import Feature
from limbeck.synthetic import SyntheticSet


def _set(value: float) -> SyntheticSet:
    return SyntheticSet({"feature": Feature(shape=(2,))}, {"feature": torch.full((3, 2), value)})


def _judge(synthetic: SyntheticSet) -> dict[str, float]:
    """Likes values near 2."""
    value = float(synthetic.values["feature"].mean())
    return {"IR@1": 0.0, "Mean": -abs(value - 2)}


def test_keeps_the_first_best_and_stops(tmp_path):
    best = Best(tmp_path, _judge, patience=2, resumed=0)
    for step, value in enumerate([0.0, 1.0, 2.0, 3.0]):
        best.look(step, _set(value))
        assert not best.done
    best.look(4, _set(2.0))  # as good as the best, not better
    assert best.done
    chosen = best.take()
    assert chosen.provenance["steps_done"] == 2
    assert float(chosen.values["feature"][0, 0]) == 2.0


def test_a_step_is_judged_once(tmp_path):
    seen = []
    best = Best(tmp_path, lambda s: seen.append(1) or _judge(s), patience=2, resumed=0)
    best.look(0, _set(0.0))
    best.look(0, _set(5.0))
    assert len(seen) == 1


def test_goes_on_after_a_kill_as_if_there_had_been_none(tmp_path):
    values = [0.0, 1.0, 2.0, 2.5, 2.6]
    straight = Best(tmp_path / "a", _judge, patience=9, resumed=0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for step, value in enumerate(values):
        straight.look(step, _set(value))
    first = Best(tmp_path / "b", _judge, patience=9, resumed=0)
    for step, value in enumerate(values[:4]):
        first.look(step, _set(value))
    second = Best(tmp_path / "b", _judge, patience=9, resumed=1)  # the checkpoint was of step 1
    assert [look["step"] for look in second.looks] == [0, 1]
    for step, value in list(enumerate(values))[1:]:
        second.look(step, _set(value))
    assert second.looks == straight.looks
    assert torch.equal(second.take().values["feature"], straight.take().values["feature"])


def test_a_set_that_is_not_the_best_is_refused(tmp_path):
    best = Best(tmp_path, _judge, patience=9, resumed=0)
    best.look(0, _set(0.0))
    as_of(_set(9.0), 7).save(tmp_path / "best")
    with pytest.raises(FormatError, match="step 7"):
        best.take()


def test_damaged_looks_are_told(tmp_path):
    (tmp_path / "validation.json").write_text('{"looks": [1]}')
    with pytest.raises(FormatError, match="damaged"):
        Best(tmp_path, _judge, patience=9, resumed=0)


def test_what_was_kept_is_cleared(tmp_path):
    best = Best(tmp_path, _judge, patience=9, resumed=0)
    best.look(0, _set(0.0))
    assert (tmp_path / "best").is_dir()
    clear(tmp_path)
    assert not (tmp_path / "best").exists()
    clear(tmp_path)  # nothing there is no error


@pytest.mark.parametrize("text", [None, "{", "{}", '{"looks": [1]}'])
def test_a_run_does_not_go_on_without_its_looks(tmp_path, text):
    if text is not None:
        (tmp_path / "validation.json").write_text(text)
    with pytest.raises(FormatError, match="Start a new run"):
        Best(tmp_path, _judge, patience=2, resumed=3)

"""The step to keep, chosen by the validation split: looks at the set every so many steps, and remembers the best."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data.pairs import Pairs
from limbeck.engine.paired import paired
from limbeck.errors import FormatError
from limbeck.files import read_json, write_json
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan

__all__ = ["Best", "Judge", "as_of", "clear", "judge_for"]

Judge = Callable[[SyntheticSet], Mapping[str, float]]
"""A set -> its scores on the validation split, by metric; "Mean" is what counts where there is one."""
FILE, FOLDER = "validation.json", "best"


class Best:
    """What the looks of a run have found so far; they are kept in the run's folder.

    A run that was killed takes its last steps again and finds the same, so looks beyond the step it goes on from are
    forgotten; the set that is kept may be of one of them, and will be the best again.

    Args:
        folder: of the run.
        judge: says how good a set is.
        patience: looks without a better one before :attr:`done`.
        resumed: the step the run goes on from.
    """

    def __init__(self, folder: Path, judge: Judge, *, patience: int, resumed: int) -> None:
        self.folder, self.judge, self.patience = folder, judge, patience
        path = folder / FILE
        every = _looks(path) if resumed or path.exists() else []
        self.looks: list[dict[str, Any]] = [look for look in every if look["step"] <= resumed]

    @property
    def best(self) -> dict[str, Any] | None:
        """The first of the best looks."""
        return max(self.looks, key=lambda look: look["score"], default=None)

    @property
    def done(self) -> bool:
        """Whether ``patience`` looks have passed without a better one."""
        if self.best is None:
            return False
        return len(self.looks) - 1 - self.looks.index(self.best) >= self.patience

    def look(self, step: int, synthetic: SyntheticSet) -> bool:
        """Scores the set as it is after ``step``, once; keeps it, and says so, where it is better than all before."""
        if any(known["step"] == step for known in self.looks):
            return False
        now = as_of(synthetic, step)
        scores = dict(self.judge(now))
        score = scores.get("Mean", sum(scores.values()) / len(scores))
        better = self.best is None or score > self.best["score"]
        if better:
            now.save(self.folder / FOLDER)
        self.looks.append({"step": step, "score": score, "scores": scores})
        write_json(self.folder / FILE, {"looks": self.looks})
        return better

    def take(self) -> SyntheticSet:
        """The best set. Raises FormatError where its folder is damaged."""
        found = self.best
        assert found is not None  # the run has looked at its first set
        synthetic = SyntheticSet.load(self.folder / FOLDER)
        if synthetic.provenance.get("steps_done") != found["step"]:
            raise FormatError(
                f"holds the set of step {synthetic.provenance.get('steps_done')}, the best was that of {found['step']}",
                where=self.folder / FOLDER,
            )
        return synthetic


def _looks(path: Path) -> list[dict[str, Any]]:
    hint = "Start a new run in another folder."
    try:
        every = read_json(path).get("looks")
    except FormatError as error:
        raise FormatError(error.what, where=path, hint=hint) from error
    if not isinstance(every, list) or not all(isinstance(x, dict) and {"step", "score"} <= set(x) for x in every):
        raise FormatError("is damaged", where=path, hint=hint)
    return every


def judge_for(planned: Plan, *, progress: bool = False) -> Judge:
    """Students of the run's own towers, trained under the protocol ``validate`` and scored on the validation split."""
    from limbeck.evaluation.judge import Judge as Students

    stands = paired(planned, progress=progress)
    pairs = Pairs.of(
        planned.store,
        "validation",
        modalities=tuple(planned.modalities),
        captions=planned.settings.captions,
        device=planned.numerics.device,
    )
    return Students(stands.towers, pairs, protocol=planned.settings.validate, device=planned.numerics.device)


def clear(folder: Path) -> None:
    """Removes the set that was kept in a run's folder: the run's result is it."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def as_of(synthetic: SyntheticSet, step: int) -> SyntheticSet:
    """The set as it is after ``step``, for keeps."""
    values = {name: value.detach().cpu().clone() for name, value in synthetic.values.items()}
    return dataclasses.replace(synthetic, values=values, provenance={**synthetic.provenance, "steps_done": step})

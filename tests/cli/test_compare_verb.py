"""`limbeck compare` as it is typed, and what `inspect` says of a set by pairs."""

from __future__ import annotations

import json

import pytest
import torch

import limbeck
from limbeck.cli import main
from limbeck.modalities import Image, Text
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.similarity import Factors, Similarity
from tests.evaluation.made_results import run


@pytest.fixture
def runs(tmp_path):
    sets = [("random", 0, 1.0), ("random", 1, 2.0), ("mdm", 0, 4.0), ("mdm", 1, 6.0)]
    return [str(run(tmp_path / f"{m}{k}", {0: score, 1: score + 1}, m, k)) for m, k, score in sets]


def test_json_is_what_python_gives(runs, capsys):
    assert main(["compare", *runs, "--baseline", "random", "--metric", "IR@1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == limbeck.compare(runs, baseline="random", metric="IR@1")


def test_a_terminal_shows_rows_whole_with_what_they_mean(runs, capsys):
    assert main(["compare", *runs, "--baseline", "random"]) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.strip().startswith("mdm"))
    for part in ("20 pairs", "2 x 2", "5.5 ± 1.4", "+3.5 (−2.9 to 9.9)", "sets", "80.0 kB"):
        assert part in row, part
    for part in ("retrieval-mdm v1, last epoch, test split of tiny", "chance", "paired by the seed"):
        assert part in text, part


@pytest.mark.parametrize(
    ("form", "words"), [("markdown", "| mdm | 20 pairs |"), ("latex", "tabular"), ("csv", "mdm,mdm")]
)
def test_other_forms_are_for_files(runs, form, words, capsys):
    assert main(["compare", *runs, "--format", form]) == 0
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no results given"),
        (["--format", "latx"], "'latex'"),
        (["--metric", "TR@1"], "no metric 'TR@1'"),
        (["--baseline", "herding"], "no row 'herding'"),
        (["--protocol", "retrieval-vdl"], "no run has a score under 'retrieval-vdl'"),
        (["--as-published"], "no score to compare"),
        (["nowhere"], "nowhere"),
    ],
)
def test_mistakes_in_a_comparison_are_told(runs, arguments, words, capsys):
    assert main(["compare", *(runs if arguments else []), *arguments]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert words in said.err


def test_runs_under_two_protocols_are_refused(runs, tmp_path, capsys):
    other = str(run(tmp_path / "other", {0: 1.0}, "lors", protocol="retrieval-vld"))
    assert main(["compare", *runs, other]) == 2
    said = capsys.readouterr().err
    for part in (runs[0], other, "protocol retrieval-mdm against retrieval-vld", "--protocol NAME"):
        assert part in said, part


def test_inspect_tells_of_pairs(tmp_path, capsys):
    modalities = {"image": Image(shape=(3, 8, 8)), "text": Text(shape=(4,))}
    values = {name: torch.zeros(2, *m.shape) for name, m in modalities.items()}
    alike = Similarity(Factors(torch.ones(2), torch.ones(2, 3), torch.zeros(2, 3)), 0.5)
    SyntheticSet(modalities, values, captions=[(("a",),), (("b", "c"),)], similarity=alike).save(tmp_path / "set")
    assert main(["inspect", str(tmp_path / "set"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["by"], about["captions"], about["similarity"]) == ("pairs", 3, {"rank": 3, "alpha": 0.5})
    assert about["bytes"] == 4 * (2 * 3 * 64 + 2 * 4 + 2 * 7)

"""What is mistyped or cannot be is said in one sentence, before anything is trained or decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.cli import main

DISTILL = "distill {} --data TOY --out OUT"


def said(line: str, toy, tmp_path: Path, capsys) -> str:
    names = {"TOY": toy.path, "OUT": tmp_path / "out", "HERE": tmp_path, "FILE": __file__}
    assert main([str(names.get(word, word)) for word in line.split(" ")]) == 2
    found = capsys.readouterr()
    assert not found.out
    assert found.err.count("limbeck: ") == 1
    assert "/400 " not in found.err
    assert not (tmp_path / "out").exists()
    return found.err


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("mtt --method.inner-steps a,5", ["inner_steps is 'a, 5'", "whole numbers joined by commas"]),
        ("mtt --method.inner-steps 3,2,1", ["inner_steps is 3, 2, 1", "sound and everything else"]),
        ("mtt --method.inner-steps 0", ["inner_steps is 0"]),
        ("mtt --method.inner-steps=-1,5", ["inner_steps is -1, 5"]),
        ("mtt --method.step-size nan", ["step_size is nan"]),
        ("mtt --method.experts 1.5", ["--method.experts is '1.5'", "It takes a whole number."]),
        ("mtt --method.gradient exactly", ["--method.gradient is 'exactly'", "Did you mean 'exact'?"]),
        ("mtt --method.expert-rate fast", ["--method.expert-rate is 'fast'", "a finite number"]),
        ("mtt --method.inner-step 5", ["'--method.inner-steps'"]),
        ("mtt --real-statistics class", ["--real-statistics", "no real items"]),
        ("grand --method.networks 3", ["--method.networks", "grand has no settings of its own."]),
        ("dm --method 3", ["--method", "dm has no settings of its own."]),
        ("dm --overwrite", ["--overwrite", "`limbeck distill dm --help`"]),
        ("dm --lr", ["--lr has no value"]),
        ("dm --per-class 0", ["a budget of 0 items"]),
        ("dm --modalities audio,audio", ["audio, audio names one twice"]),
        ("davdd --method.members 0", ["members is 0"]),
        ("dc --method.inner 0", ["inner is 0"]),
    ],
)
def test_settings_of_a_run(method, words, toy, tmp_path, capsys):
    found = said(DISTILL.format(method), toy, tmp_path, capsys)
    assert all(word in found for word in words), found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bank --data TOY --modalities audio,audio", ["names one twice"]),
        ("bank --data TOY --modalities audio", ["two modalities or more"]),
        ("bank --data TOY --mapping cubic", ["unknown mapping 'cubic'", "linear, mlp"]),
        ("bank --data TOY --hidden 0", ["hidden is 0"]),
        ("bank --data TOY --members 0", ["members is 0"]),
        ("estimate", ["no method given", "davdd", "random"]),
        ("estimate mtt --data TOY --out x", ["unknown option --out", "`limbeck estimate mtt --help`"]),
        ("recipes avdd.table3 --cell nowhere/at/all", ["has no cell", "more"]),
        ("recipes run avdd.table3 --data TOY --out OUT --threads 0", ["threads is 0"]),
        ("recipes run avdd.table3 --data TOY --out OUT --device gpu", ["unknown device 'gpu'"]),
        ("recipes run avdd.table12 --data TOY --out OUT --weights gone", ["gone: no such file", "--save-weights"]),
        ("recipes run avdd.table3 --data TOY --out FILE", ["not a folder of recipes", "another --out"]),
        ("prepare ave --root HERE --out OUT", ["neither trainSet.txt", "Annotations.txt", "AVE_Dataset"]),
        ("prepare vggs10k --root HERE --out OUT", ["no listing is here (vgg_subset.csv or vggsound.csv)", "--csv"]),
        ("prepare ave --root HERE --out OUT --allow-silent", ["--allow-silent has no value"]),
        ("prepare ave --root HERE --out OUT --allow-silent maybe", ["is 'maybe'", "true or false"]),
        ("evaluate toy --modalities audio,audio", ["audio comes more than once"]),
        ("evaluate toy --save-weights /dev/null/x", ["/dev/null/x", "cannot be written"]),
    ],
)
def test_what_other_verbs_are_told(line, words, toy, tmp_path, capsys):
    found = said(line, toy, tmp_path, capsys)
    assert all(word in found for word in words), found


def test_noise_needs_no_real_items_to_start_from(toy, small, tmp_path):
    import limbeck

    made = limbeck.distill("dm", toy, out=tmp_path / "run", per_class=21, steps=1, init="noise", **small)
    assert len(made) == 84


def test_help_gives_the_methods_own_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["distill", "mtt", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "(0.2 in AVDD). [1000.0]" in text
    assert "--method.inner-steps A,B" in text
    assert "updates of the synthetic set (5000 in AVDD). [by method and size of the media]" in text

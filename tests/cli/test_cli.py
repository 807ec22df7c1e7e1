from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import limbeck
from limbeck.cli import main
from limbeck.cli.fields import seeds
from limbeck.cli.options import OPTIONS
from limbeck.cli.parser import build_parser
from limbeck.errors import ConfigError

QUICK = ["--kernels", "literal", "--channels", "8", "--device", "cpu", "--threads", "1", "--real-batch", "8"]


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    arguments = ["distill", "dm", "--data", str(toy.path), "--per-class", "2", "--steps", "3", "--out", str(folder)]
    assert main([*arguments, *QUICK]) == 0
    return folder


@pytest.fixture(scope="module")
def damaged(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(run, folder)
    tensors = folder / "synthetic" / "synthetic.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-9])
    return folder


@pytest.mark.parametrize("verb", ["methods", "datasets", "protocols"])
def test_lists_are_json_objects_with_names(verb, capsys):
    assert main([verb, "--json"]) == 0
    items = json.loads(capsys.readouterr().out)
    assert items
    assert all(isinstance(item["name"], str) for item in items)


def test_doctor(capsys):
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["limbeck"] == limbeck.__version__
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["distil"], ["unknown verb 'distil'", "'distill'"]),
        (["distill"], ["no method given"]),
        (["distill", "avd"], ["unknown method 'avd'", "'avdd'"]),
        (["distill", "dm", "--step", "3"], ["unknown option --step", "'--steps'"]),
        (["distill", "dm", "--per-class=x"], ["--per-class is 'x'", "a whole number"]),
        (["distill", "dm", "--stepping", "often"], ["--stepping", "per_class"]),
        (["distill", "avdd", "--method.imc", "3"], ["--method.imc", "'--method.icm'"]),
        (["distill", "dm", "--data", "digits"], ["no --out"]),
        (["distill", "dm", "--data", "nowhere", "--out", "OUT"], ["nowhere"]),
        (["distill", "dm", "--out", "OUT", "--resume"], ["no run was started"]),
        (["evaluate", "nowhere"], ["nowhere"]),
        (["evaluate", "RUN", "--seeds", "a"], ["seeds are 'a'"]),
        (["evaluate", "RUN", "--protocol", "recognition"], ["recognition-avdd"]),
        (["evaluate", "RUN", "--students", "convnt"], ["'convnet'"]),
        (["evaluate", "RUN", "--split", "tets"], ["'test'"]),
        (["report", "nowhere"], ["nowhere"]),
        (["export", "RUN", "--out", "OUT", "--to", "fodler"], ["fodler", "folder"]),
        (["inspect", "nowhere"], ["nowhere"]),
        (
            [
                "distill",
                "avdd",
                "--data",
                "TOY",
                "--out",
                "OUT",
                "--method.base",
                "0",
                "--method.icm",
                "0",
                "--method.cgm",
                "0",
            ],
            ["weights"],
        ),
        (["distill", "dm", "--data", "TOY", "--out", "OUT", "--per-class", "21"], ["20 training items", "21"]),
        (["distill", "avdd", "--data", "TOY", "--out", "OUT", "--modalities", "audio"], ["needs 2 or more"]),
        (["distill", "dm", "--data", "TOY", "--out", "OUT", "--checkpoint-every", "-1"], ["checkpoint_every"]),
        (["distill", "dm", "--data", "TOY", "--out", "/dev/null/x"], ["/dev/null/x"]),
        (["evaluate", "RUN", "--threads", "0"], ["threads is 0"]),
        (["evaluate", "DAMAGED"], ["truncated or edited"]),
        (["report", "DAMAGED"], ["truncated or edited"]),
        (["export", "DAMAGED", "--out", "OUT"], ["truncated or edited"]),
        (["inspect", "DAMAGED"], ["truncated or edited"]),
        (["export"], ["no run given"]),
        (["prepare", "vggsound", "--out", "OUT"], ["no --root given"]),
        (["prepare", "vggsond", "--root", ".", "--out", "OUT"], ["vggsond", "vggsound"]),
    ],
)
def test_mistakes_are_explained_without_a_traceback(arguments, words, run, damaged, toy, tmp_path, capsys):
    names = {"RUN": run, "DAMAGED": damaged, "TOY": toy.path, "OUT": tmp_path / "out"}
    arguments = [str(names.get(a, a)) for a in arguments]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("limbeck: ")
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


def test_a_finished_run_is_not_written_over(run, toy, capsys):
    assert main(["distill", "dm", "--data", str(toy.path), "--out", str(run)]) == 2
    assert "a finished run is here" in capsys.readouterr().err


def test_a_runs_config_makes_the_same_run_again(run, tmp_path):
    again = tmp_path / "again"
    assert main(["distill", "dm", "--config", str(run / "config.json"), "--out", str(again)]) == 0
    one, two = limbeck.load(run), limbeck.load(again)
    assert (one.values["image"] == two.values["image"]).all()


def test_an_unknown_key_in_a_config_is_named(run, tmp_path, capsys):
    config = json.loads((run / "config.json").read_text()) | {"stepz": 3}
    (tmp_path / "c.json").write_text(json.dumps(config))
    arguments = ["distill", "dm", "--config", str(tmp_path / "c.json"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "stepz" in said
    assert "Did you mean 'steps'" in said


def test_evaluate_prints_what_result_json_holds(run, capsys):
    assert main(["evaluate", str(run), "--seeds", "0:2", "--device", "cpu", "--kernels", "literal", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((run / "result.json").read_text())
    named = {"protocol", "version", "selection", "students", "seeds", "runs", "mean", "std", "n", "interval"}
    assert named <= set(said)
    assert said["n"] == 2
    assert set(said["mean"]) == {"fused", "image", "audio"}


def test_inspect_knows_runs_artifacts_and_stores(run, toy, capsys):
    for target, what in ((run, "run"), (run / "synthetic", "artifact"), (toy.path, "store"), ("toy", "store")):
        assert main(["inspect", str(target), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["what"] == what


def test_estimate_measures(toy, capsys):
    assert main(["estimate", "avdd", "--data", str(toy.path), "--steps", "10", "--json", *QUICK]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["seconds"] == pytest.approx(10 * about["seconds_per_step"])
    assert about["memory_bytes"] > 0
    assert main(["estimate", "kcenter", "--data", str(toy.path)]) == 0
    assert "a network is trained on the whole training split" in capsys.readouterr().out


def test_report_and_export(run, tmp_path, capsys):
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    assert main(["export", str(run), "--out", str(tmp_path / "files")]) == 0
    assert list((tmp_path / "files").rglob("*.png"))


def test_seeds():
    assert seeds("3") == [3]
    assert seeds("0,2,5") == [0, 2, 5]
    assert seeds("1:4") == [1, 2, 3]
    for wrong in ("", "x", "4:4", "1,1", "-1"):
        with pytest.raises(ConfigError):
            seeds(wrong)


@pytest.mark.parametrize("verb", [None, *OPTIONS])
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*([verb] if verb else []), "--help"])
    assert ended.value.code == 0
    assert "usage: limbeck" in capsys.readouterr().out


def test_every_option_of_a_run_says_what_it_is():
    parser = build_parser(["distill"])
    text = parser._subcommands_action._name_parser_map["distill"]._subcommands_action._name_parser_map["avdd"]
    for action in text._actions:
        assert action.help, action.option_strings


def test_it_is_a_program():
    done = subprocess.run([sys.executable, "-m", "limbeck", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"limbeck {limbeck.__version__}"


@pytest.mark.parametrize("verb", ["report", "distill"])
def test_interrupting_is_exit_code_130(verb, run, monkeypatch, capsys):
    import limbeck.cli.verbs

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(limbeck.cli.verbs.VERBS, verb, interrupted)
    assert main(["report", str(run)] if verb == "report" else ["distill", "dm", "--out", "x"]) == 130
    assert ("--resume" in capsys.readouterr().err) == (verb == "distill")


def test_prepare_reads_a_manifest(tmp_path, capsys):
    from PIL import Image

    for i in range(8):
        Image.new("RGB", (20, 20), (30 * i, 0, 0)).save(tmp_path / f"{i}.png")
    rows = [f"{i}.png,{'red' if i % 2 else 'dark'},{'train' if i < 6 else 'test'}" for i in range(8)]
    (tmp_path / "m.csv").write_text("\n".join(["image,label,split", *rows, "gone.png,red,train"]))
    arguments = ["prepare", "manifest", "--root", str(tmp_path / "m.csv"), "--out", str(tmp_path / "store")]
    arguments += ["--image-size", "16", "--workers", "1"]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert "gone.png" in said.err
    assert "row" in said.err
    assert "--on-error skip" in said.err
    assert main([*arguments, "--on-error", "skip", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["skipped"] == 1
    assert (
        main(["distill", "dm", "--data", str(tmp_path / "store"), "--steps", "2", "--out", str(tmp_path / "r"), *QUICK])
        == 0
    )


def test_export_goes_into_the_run_folder_by_default(run):
    assert main(["export", str(run)]) == 0
    assert (run / "export" / "labels.csv").exists()


@pytest.mark.parametrize("settings", [{"method": "x"}, {"data": 5}, {"out": "x"}, {"method_settings": {}}, {"lr": "a"}])
def test_nonsense_in_a_config_is_refused(toy, tmp_path, settings, capsys):
    (tmp_path / "c.json").write_text(json.dumps({"data": str(toy.path), **settings}))
    assert main(["distill", "dm", "--config", str(tmp_path / "c.json"), "--out", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().err.startswith("limbeck: ")


def test_small_numbers_survive_a_config(toy, tmp_path):
    first = tmp_path / "1"
    arguments = ["--data", str(toy.path), "--steps", "1", "--lr", "0.00001", *QUICK]
    assert main(["distill", "dm", "--out", str(first), *arguments]) == 0
    assert "1e-05" in (first / "config.json").read_text()
    assert main(["distill", "dm", "--config", str(first / "config.json"), "--out", str(tmp_path / "2")]) == 0


def test_numbers_are_joined_by_commas(toy, tmp_path):
    quick = ["--per-class", "1", "--steps", "1", "--method.experts", "1", "--out", str(tmp_path / "run"), *QUICK]
    told = ["--method.inner-steps", "2,1", "--method.step-size", "0.01"]
    assert main(["distill", "mtt", "--data", str(toy.path), *quick, *told]) == 0
    method = json.loads((tmp_path / "run" / "config.json").read_text())["method"]
    assert (method["inner_steps"], method["step_size"]) == ([2, 1], [0.01, 0.01])
    same = ["distill", "mtt", "--data", str(toy.path), *quick]
    assert main([*same, *told, "--resume"]) == 0  # the very command the run was started with
    assert main([*same, "--method.step-size", "0.02", "--resume"]) == 2


def test_input_and_output_that_fail_are_said(run, capsys):
    assert main(["report", str(run), "--out", "/proc/x/y.html"]) in (1, 2)
    said = capsys.readouterr().err
    assert "/proc/x" in said
    assert "Traceback" not in said

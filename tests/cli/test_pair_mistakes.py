"""What is mistyped of a run by pairs is said before anything is embedded or trained, and leaves the folder free."""

from __future__ import annotations

import pytest

import limbeck
from limbeck.banks import folder as bank_folder
from limbeck.cli import main
from limbeck.cli.show import done
from limbeck.data import sentences
from limbeck.engine import paired as paired_module
from limbeck.errors import FormatError, MissingDependencyError
from tests.evaluation.paired_toy import paired_store

PAIRS = "--pairs 4 --captions hashing --tower patches"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return paired_store(tmp_path_factory.mktemp("concepts") / "store", side=16)


@pytest.fixture
def distil(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))

    def run(method, words):
        code = main(["distill", method, "--data", str(store.path), "--out", str(tmp_path / "out"), *words.split()])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (f"{PAIRS} --tower pathces", ["unknown tower", "'patches'"]),
        (f"{PAIRS} --validate retrieval-mmd", ["--validate", "'retrieval-mdm'"]),
        (f"{PAIRS} --validate recognition-avdd", ["--validate", "no protocol by pairs"]),
        (f"{PAIRS} --validate retrieval-mdm", ["stands still here", "Use retrieval-frozen-heads"]),
        (
            "--pairs 4 --captions hashing --validate retrieval-frozen-heads",
            ["learns here", "Use retrieval-mdm"],
        ),
        (f"{PAIRS} --factor 2", ["mdm takes whole pairs", "Use --factor 1"]),
        ("--captions hashing", ["mdm takes no budget by class", "--pairs"]),
    ],
)
def test_said_before_anything_is_made(words, told, distil, tmp_path, monkeypatch):
    monkeypatch.setattr(paired_module.Pairs, "of", None)
    code, text = distil("mdm", words)
    assert code == 2
    assert all(word in text for word in told), text
    assert not (tmp_path / "out").exists()


def test_a_protocol_needs_its_split(tmp_path, capsys):
    alone = paired_store(tmp_path / "store", side=16, each={"train": 2, "test": 1})
    where = ["--data", str(alone.path), "--out", str(tmp_path / "out")]
    assert main(["distill", "mdm", *where, *PAIRS.split(), "--validate", "retrieval-frozen-heads"]) == 2
    assert "no validation split" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--pairs 4000", "--pairs 4 --pretrained nowhere.safetensors"])
def test_what_fails_before_the_first_step_leaves_the_folder_free(words, distil, tmp_path):
    rest = "--captions hashing --tower patches"
    assert distil("random" if "4000" in words else "herding", f"{words} {rest}")[0] == 2
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".lock"]
    assert distil("random", f"--pairs 4 {rest}")[0] == 0


def test_captions_whose_weights_are_not_here_name_the_option(monkeypatch):
    def nothing(*names, **options):
        raise OSError(names, options)

    pytest.importorskip("transformers")
    monkeypatch.setattr("transformers.utils.cached_file", nothing)
    with pytest.raises(MissingDependencyError, match=r"--captions minilm .* --captions hashing"):
        sentences._hub_folder("bert-base-uncased")


def test_a_damaged_record_of_a_bank_says_what_to_do(tmp_path):
    folder, _ = bank_folder.found_folder(tmp_path, {"a": 1}, {"machine": "here"})
    (folder / "about.json").write_text("{")
    with pytest.raises(FormatError, match="Remove the folder"):
        bank_folder.found_folder(tmp_path, {"a": 1}, {"machine": "here"})


@pytest.mark.parametrize(("method", "rates"), [("mdm", "100, 100, 1000"), ("lors", "100, 1000, 1000")])
def test_help_says_the_published_rates(method, rates, capsys):
    with pytest.raises(SystemExit):
        main(["distill", method, "--help"])
    text = capsys.readouterr().out
    assert f"[{rates} by --pairs: 100, 200, 500 or the nearest]" in " ".join(text.split())
    assert "[False]" not in text


def test_a_run_says_which_step_was_kept(distil, tmp_path, capsys):
    assert distil("random", PAIRS)[0] == 0
    synthetic = limbeck.load(tmp_path / "out")
    synthetic.provenance |= {"steps_done": 0, "steps_taken": 20}
    done(synthetic, tmp_path / "out")
    assert "step 0 of 20, which the validation split likes best" in capsys.readouterr().out

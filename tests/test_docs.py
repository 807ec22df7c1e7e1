"""What the documents show, works."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

import limbeck
from limbeck.cli.parser import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_guides_method_is_a_method(toy, small, tmp_path, monkeypatch):
    from limbeck.methods import base, methods

    methods()  # all there are, before the registry is put aside
    monkeypatch.setattr(base, "REGISTRY", dict(base.REGISTRY))
    monkeypatch.setattr("limbeck.methods.REGISTRY", base.REGISTRY)
    (code,) = re.findall(r"```python\n(from dataclasses.*?)```", (ROOT / "docs" / "guide.md").read_text(), re.DOTALL)
    module = types.ModuleType("guide")
    monkeypatch.setitem(sys.modules, "guide", module)  # dataclasses look their module up
    exec(compile(code, "guide.md", "exec"), module.__dict__)
    settings = {**small, "per_class": 1, "steps": 3, "init": "random", "group": 4, "real_group": 4, "lr": 1.0}
    done = limbeck.distill("cosine", toy, out=tmp_path / "run", method_settings={"weight": 2.0}, **settings)
    assert done.provenance["settings"]["method"] == {"weight": 2.0}
    initial = limbeck.load(tmp_path / "run" / "initial")
    assert not (done.values["image"] == initial.values["image"]).all()


def test_the_readmes_snippet_runs(toy, tmp_path, monkeypatch):
    limbeck.distill("random", toy, out=tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert set(next(iter(names["loader"]))) == {"image", "audio", "label"}
    assert len(names["pictures"]) == len(names["sounds"]) == 4


def commands():
    for page in PAGES:
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            if language:
                continue
            for line in block.splitlines():
                words = line.partition("#")[0].split()
                if words[:1] == ["limbeck"] and "…" not in line and "|" not in line:
                    yield pytest.param(words[1:], id=" ".join(words[1:4]))


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_shown_can_be_typed(words):
    build_parser(words).parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target

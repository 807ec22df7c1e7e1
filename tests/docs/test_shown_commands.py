"""What the pages tell people to type can be typed, and leads somewhere."""

from __future__ import annotations

import re

import pytest

from limbeck.cli import main
from limbeck.cli.parser import build_parser
from limbeck.methods import methods
from tests.docs.pages import PAGES, ROOT, blocks, commands, prose

SHOWN = sorted({(page, " ".join(words)) for page, words in commands()})
CHEAP = ("methods", "datasets", "protocols", "doctor")
ALONE = sorted({text for _, text in SHOWN if text.split()[0] in CHEAP} | {"recipes avdd.table3 --cell ave/10"})
MEASURED = ("results", "performance", "audio_visual", "image_text", "imagebind", "recipes")
"""Pages whose figures are measured, by commands they name, or quoted with their source."""


@pytest.mark.parametrize("text", [pytest.param(text, id=f"{page}: {text}") for page, text in SHOWN])
def test_every_command_shown_can_be_typed(text):
    words = text.split()
    build_parser(words).parse_args(words)


@pytest.mark.parametrize("text", ALONE)
def test_commands_that_need_nothing_run(text, capsys):
    assert main(text.split()) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_benchmarks_shown_are_there_with_their_options(page):
    for module, words in re.findall(r"python -m (benchmarks\.\w+)([^`\n]*)", page.read_text(encoding="utf-8")):
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        for used in re.findall(r"from (benchmarks\.\w+)", source):
            source += (ROOT / f"{used.replace('.', '/')}.py").read_text(encoding="utf-8")
        for option in re.findall(r"--[a-z-]+", words):
            assert f'"{option}"' in source, (module, option)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_tests_that_are_named_are_there():
    for page in PAGES:
        for named in re.findall(r"`((?:tests|benchmarks)/[\w/]+(?:\.py)?)`", page.read_text(encoding="utf-8")):
            assert (ROOT / named).exists(), (page.name, named)


def test_a_study_shown_is_a_study():
    import yaml

    from limbeck.studies.spec import read_study

    (block,) = blocks(ROOT / "docs" / "studies.md", "yaml")
    study = read_study(yaml.safe_load(block.text))
    assert (study.data, study.sizes, study.seeds) == ("digits", (1, 10), (0, 1, 2))


def test_every_method_has_a_card():
    cards = {page.stem for page in (ROOT / "docs" / "methods").glob("*.md")} - {"index"}
    assert cards == set(methods())


@pytest.mark.parametrize("page", ["choosing.md", *[f"methods/{name}.md" for name in methods()]])
def test_figures_are_those_of_a_measured_page(page):
    """A number with a decimal point on a page of advice stands on a page that has its command."""
    measured = [path for path in PAGES if path.stem.startswith(MEASURED)]
    known = set(re.findall(r"\d+\.\d+", " ".join(path.read_text(encoding="utf-8") for path in measured)))
    told = set(re.findall(r"\d+\.\d+", prose(ROOT / "docs" / page)))
    assert not told - known

"""A study's page as a person meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limbeck.report import write_report, write_study_report
from tests import browser_checks as check
from tests.browser import browser, opened  # noqa: F401
from tests.report.studied import make_study

SECTIONS = ["scores", "budget", "bytes", "gallery", "cost", "runs", "load"]


@pytest.fixture(scope="module")
def page(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_study(tmp_path_factory.mktemp("study") / "two methods", toy)
    write_report(folder / "runs" / "avdd-1-s0")
    return write_study_report(folder)


def test_it_needs_nothing_but_itself_and_runs_have_pages_of_their_own(browser, page):  # noqa: F811
    with opened(browser, page) as tab:
        assert check.load_pictures(tab) == 4 * 2 * (1 + 4)  # classes, modalities, cells of both methods
        links = tab.locator("#runs a")
        assert [link.text_content() for link in links.all()] == ["avdd-1-s0"]
        target = links.first.get_attribute("href")
    with opened(browser, page.parent / target) as tab:
        assert tab.title().startswith("avdd on toy")


def test_a_phone_shows_it_without_scrolling_sideways(browser, page):  # noqa: F811
    with opened(browser, page, width=390, height=844) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert check.sideways(tab) <= 0
        assert check.small_text(tab) == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out(browser, page, dark):  # noqa: F811
    with opened(browser, page, dark=dark) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert check.faint_text(tab) == []


def test_the_keyboard_reaches_everything(browser, page):  # noqa: F811
    with opened(browser, page) as tab:
        check.tab_through(tab)


def test_methods_stand_beside_each_other_enlarged(browser, page):  # noqa: F811
    with opened(browser, page) as tab:
        tab.locator(".sides .zoom").first.press("Enter")
        dialog = tab.locator("dialog[open]")
        assert [words.text_content() for words in dialog.locator("figcaption").all()] == ["random", "avdd, factor 2"]
        tab.keyboard.press("Escape")
        assert dialog.count() == 0


def test_without_scripts_everything_is_there(browser, page):  # noqa: F811
    with opened(browser, page, scripts=False) as tab:
        players = tab.locator("audio[controls]")
        assert players.count() == 4 * 2
        assert all(player.is_visible() for player in players.all())
        assert all(tab.locator(f"#{name}").is_visible() for name in SECTIONS)
        assert tab.locator("button").count() == 0


@pytest.mark.parametrize(("name", "window"), [("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390})])
def test_it_looks_as_it_should(browser, page, name, window):  # noqa: F811
    with opened(browser, page, **window) as tab:
        shot = check.screenshot(tab, f"study-{name}")
        check.looks_right(shot, check.sections(tab), SECTIONS)
    assert (shot[5, 5].mean() < 60) == (name == "dark")

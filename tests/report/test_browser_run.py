"""A run's page as a person meets it: opened from a file, with no network, by mouse, keyboard and phone, in the dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import limbeck
from limbeck.report import write_report
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.factor import cells
from tests import browser_checks as check
from tests.browser import browser, opened  # noqa: F401
from tests.evaluation.paired_toy import paired_store

MACHINE: dict[str, Any] = {"threads": 1, "device": "cpu", "kernels": "literal"}
RUN: dict[str, Any] = {"channels": 8, "real_batch": 8, "steps": 3, **MACHINE}
KINDS = ["by class", "by pairs"]


class Page(NamedTuple):
    """A run's page and what it shows."""

    path: Path
    synthetic: SyntheticSet


@pytest.fixture(scope="module")
def pages(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Picture and sound by class, four to an item; picture and words by pairs. Both with scores."""
    folder = tmp_path_factory.mktemp("runs")
    limbeck.distill("avdd", toy, out=folder / "by class", per_class=1, factor=2, **RUN)
    limbeck.evaluate(folder / "by class", seeds=[0, 1], whole=True, whole_seeds=[0], channels=8, **MACHINE)
    pairs = paired_store(folder / "store", side=16)
    words = {"captions": "hashing", "tower": "convnet", "pretrained": "none"}
    limbeck.distill("dm", pairs, out=folder / "by pairs", pairs=5, **words, **RUN)
    limbeck.evaluate(folder / "by pairs", seeds=[0, 1], **MACHINE)
    return {kind: Page(write_report(folder / kind), limbeck.load(folder / kind)) for kind in KINDS}


@pytest.fixture(params=KINDS)
def page(request: pytest.FixtureRequest, pages: dict[str, Page]) -> Page:
    return pages[request.param]


@pytest.fixture
def av(pages: dict[str, Page]) -> Page:
    return pages["by class"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<img alt="x" src="https://example.invalid/x.png">', "asks for https://example.invalid/x.png"),
        ('<img alt="x" src="beside.png">', "asks for file:///"),
        ('<script src="beside.js"></script>', "asks for file:///"),
        ("<script>nothing()</script>", "script: nothing is not defined"),
        ("<script>console.error('ill')</script>", "ill"),
    ],
)
def test_what_a_page_must_not_do_is_noticed(browser, tmp_path, body, complaint):  # noqa: F811
    (tmp_path / "page.html").write_text(f"<!doctype html><title>x</title>{body}", encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint), opened(browser, tmp_path / "page.html"):
        pass


def test_a_page_needs_nothing_but_itself(browser, page):  # noqa: F811
    with opened(browser, page.path) as tab:
        modalities = len(page.synthetic.modalities)
        assert check.load_pictures(tab) >= 2 * modalities * len(page.synthetic)
        assert tab.title().endswith("Limbeck")


def test_every_sound_plays_for_as_long_as_it_lasts(browser, av):  # noqa: F811
    waves, rate = av.synthetic.audio()
    lasts = len(waves[0]) / rate
    with opened(browser, av.path) as tab:
        tab.get_by_role("button", name="Play: ").first.click()  # from here on the page may make itself heard
        heard = tab.evaluate("""async () => {
          const heard = [];
          for (const box of document.querySelectorAll(".sound")) {
            const audio = box.querySelector("audio"), button = box.querySelector(".play");
            const most = await new Promise(done => {
              audio.addEventListener("ended", () => done(audio.duration), {once: true});
              const look = () => audio.currentTime > .02 ? done(audio.currentTime) : requestAnimationFrame(look);
              if (button.ariaPressed === "false") button.click();
              look();
              setTimeout(() => done(audio.currentTime), 10000);
            });
            heard.push([most, audio.duration, audio.error && audio.error.message]);
            if (button.ariaPressed === "true") button.click();
          }
          return heard;
        }""")
    assert len(heard) >= 2 * len(waves)
    for most, duration, error in heard:
        assert error is None
        assert most > 0
        assert duration == pytest.approx(lasts, abs=0.05)


def test_a_phone_shows_it_without_scrolling_sideways(browser, page):  # noqa: F811
    with opened(browser, page.path, width=390, height=844) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert check.sideways(tab) <= 0
        assert check.small_text(tab) == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out(browser, page, dark):  # noqa: F811
    with opened(browser, page.path, dark=dark) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        tab.evaluate("""document.querySelectorAll(".confusion td").forEach((cell, k, all) => {
          cell.style.setProperty("--share", `${100 * k / (all.length - 1)}%`);  // whatever the students mixed up
        })""")
        assert check.faint_text(tab) == []


def test_the_keyboard_reaches_everything(browser, page):  # noqa: F811
    with opened(browser, page.path) as tab:
        check.tab_through(tab)


@pytest.mark.parametrize(("page", "key"), [("by class", "Enter"), ("by pairs", "Space")], indirect=["page"])
def test_the_keyboard_enlarges_every_picture(browser, page, key):  # noqa: F811
    with opened(browser, page.path) as tab:
        tab.locator(".zoom").first.press(key)
        dialog = tab.locator("dialog[open]")
        assert dialog.is_visible()
        box = dialog.bounding_box()
        assert box["width"] <= 1280
        assert box["height"] <= 900
        seen = set()
        for _ in range(100):
            here = dialog.locator(".zoom-stage img").first.get_attribute("src")
            if here in seen:
                break
            seen.add(here)
            tab.keyboard.press("ArrowRight")
        assert len(seen) == len(page.synthetic) * page.synthetic.factor**2
        tab.keyboard.press("ArrowDown")
        assert dialog.locator(".zoom-stage img").first.get_attribute("src") not in seen  # the other modality
        tab.keyboard.press("Escape")
        assert dialog.count() == 0
        assert tab.evaluate("document.activeElement.className") == "zoom"


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_plays(browser, av, key):  # noqa: F811
    with opened(browser, av.path) as tab:
        button = tab.get_by_role("button", name="Play: ").first
        button.focus()
        tab.evaluate("document.querySelector('.sound audio').loop = true")
        tab.keyboard.press(key)
        check.until(tab, "document.querySelector('.sound audio').currentTime > 0")
        assert button.get_attribute("aria-pressed") == "true"
        tab.keyboard.press(key)
        assert tab.evaluate("document.querySelector('.sound audio').paused")


def test_without_scripts_everything_is_there(browser, av):  # noqa: F811
    with opened(browser, av.path) as tab:
        sounds = tab.locator(".sound").count()
    with opened(browser, av.path, scripts=False) as tab:
        players = tab.locator("audio[controls]")
        assert players.count() == sounds > 0
        assert all(player.is_visible() for player in players.all())
        assert all(tab.locator(f"#{name}").is_visible() for name in ("scores", "gallery", "losses", "load", "settings"))
        assert tab.locator("button:visible").count() == 0  # none that would do nothing


def test_who_wants_no_motion_gets_none(browser, av):  # noqa: F811
    moving = """[...document.querySelectorAll("*")].filter(e => {
      const style = getComputedStyle(e);
      return style.scrollBehavior === "smooth" || style.animationName !== "none"
        || style.transitionDuration.split(",").some(s => parseFloat(s) > 0);
    }).map(e => e.outerHTML.slice(0, 60))"""
    with opened(browser, av.path) as tab:
        assert tab.evaluate(moving)  # else this test could not fail
    with opened(browser, av.path, still=True) as tab:
        assert tab.evaluate(moving) == []


@pytest.mark.parametrize(
    ("page", "name", "window"),
    [
        ("by class", "light", {}),
        ("by class", "dark", {"dark": True}),
        ("by class", "phone", {"width": 390}),
        ("by pairs", "light", {}),
    ],
    indirect=["page"],
)
def test_it_looks_as_it_should(browser, page, name, window):  # noqa: F811
    with opened(browser, page.path, **window) as tab:
        shot = check.screenshot(tab, f"{page.path.parent.name.replace(' ', '-')}-{name}")
        found = check.sections(tab)
        cards = tab.evaluate("""[...document.querySelectorAll("article.card")].map(e => {
          const box = e.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]; })""")
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    listed = [section for section in SECTIONS if section in {n for n, *_ in found}]
    assert {"scores", "gallery", "losses", "load", "settings"} <= set(listed)
    check.looks_right(shot, found, listed)
    assert [int(v) for v in ground[4:-1].split(",")] == shot[5, 5].tolist()
    assert (shot[5, 5].mean() < 60) == (name == "dark")
    for k, (left, top, right, bottom) in enumerate(cards):
        for x, y, to_x, to_y in cards[:k]:
            assert right <= x or to_x <= left or bottom <= y or to_y <= top


SECTIONS = ["scores", "cost", "budget", "gallery", "similarity", "plane", "losses", "load", "settings"]
"""In the order of the page."""


def test_pictures_on_the_screen_are_those_of_the_set(browser, av):  # noqa: F811
    image = av.synthetic.modalities["image"]
    stored = image.to_stored(image.denormalise(av.synthetic.values["image"])).numpy()
    boxes = sorted(cells(*image.shape[1:], 2), key=lambda cell: (cell[0].start, cell[1].start))
    expected = [item[:, r, c].transpose(1, 2, 0) for item in stored for r, c in boxes]
    with opened(browser, av.path) as tab:
        shot = check.screenshot(tab, "by-class-pictures")
        places = tab.evaluate("""[...document.querySelectorAll("[data-set=distilled] .view.image img")].map(e => {
          const box = e.getBoundingClientRect(); return [box.left + scrollX, box.top + scrollY, box.width, box.height];
        })""")
    assert len(places) == len(expected)
    for (left, top, width, height), pixels in zip(places, expected, strict=True):
        rows, columns = pixels.shape[:2]
        y = np.round(top + (np.arange(rows)[1:-1] + 0.5) * height / rows - 0.5).astype(int)  # corners are round
        x = np.round(left + (np.arange(columns)[1:-1] + 0.5) * width / columns - 0.5).astype(int)
        seen = shot[np.ix_(y, x)].astype(int)
        assert np.abs(seen - pixels[1:-1, 1:-1]).max() <= 3

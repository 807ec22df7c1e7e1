"""What every page has to hold in a browser, as functions of an open page (see ``tests/browser.py``)."""

from __future__ import annotations

import io
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Picture = np.ndarray[Any, np.dtype[np.uint8]]

TEXTS = """
const visible = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true})
  && e.getBoundingClientRect().right > 0 && !e.closest("script, style, .visually-hidden, .skip, title");
const texts = () => [...document.body.querySelectorAll("*")].filter(e => visible(e)
  && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
"""
"""Elements with words of their own that a person sees."""

SMALL_TEXT = (
    TEXTS
    + """
texts().map(e => {
  const scale = e instanceof SVGElement ? e.getScreenCTM().a : 1;
  return [e.textContent.trim().slice(0, 40), parseFloat(getComputedStyle(e).fontSize) * scale];
}).filter(([_, size]) => size < 11.99)
"""
)

FAINT_TEXT = (
    TEXTS
    + """
const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgba = colour => {
  context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
};
const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
const behind = e => {
  const own = e ? rgba(getComputedStyle(e).backgroundColor) : rgba("Canvas");
  return own[3] === 1 ? own : over(own, e ? behind(e.parentElement) : [255, 255, 255]);
};
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
const opacity = e => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1;
texts().map(e => {
  const style = getComputedStyle(e), ground = behind(e);
  const ink = rgba(e instanceof SVGElement ? style.fill : style.color);
  const [a, b] = [light(over([ink[0], ink[1], ink[2], ink[3] * opacity(e)], ground)), light(ground)];
  return [e.textContent.trim().slice(0, 40), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
}).filter(([_, contrast]) => contrast < 4.5)
"""
)

REACHED = """
(() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), all = [...document.querySelectorAll("*")];
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [all.indexOf(e), ring, e.outerHTML.slice(0, 80)];
})()
"""

TO_REACH = """
(() => {
  const all = [...document.querySelectorAll("*")];
  return all.filter(e => e.matches("a[href], button, summary, audio[controls], input, select, [tabindex='0']")
    && e.checkVisibility() && !e.disabled && e.tabIndex >= 0).map(e => [all.indexOf(e), e.outerHTML.slice(0, 80)]);
})()
"""


def load_pictures(page: Any) -> int:
    """Waits for every picture, those below the fold too; returns how many there are. Fails where one is broken."""
    return page.evaluate("""async () => {
      const images = [...document.images];
      await Promise.all(images.map(image => { image.loading = "eager"; return image.decode(); }));
      const empty = images.filter(image => !image.naturalWidth || !image.alt);
      if (empty.length) throw new Error(empty[0].outerHTML.slice(0, 200));
      return images.length;
    }""")


def until(page: Any, condition: str) -> None:
    """Waits for a condition in JavaScript; Playwright's own way of waiting runs into the page's policy on scripts."""
    page.evaluate(f"""() => new Promise((done, give_up) => {{
      const look = () => {condition} ? done() : requestAnimationFrame(look);
      look();
      setTimeout(() => give_up(new Error("never came")), 10000);
    }})""")


def sideways(page: Any) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def small_text(page: Any) -> list[Any]:
    """(words, pixels) of what is below 12 pixels."""
    return page.evaluate(SMALL_TEXT)


def faint_text(page: Any) -> list[Any]:
    """(words, contrast) of what stands out less than 4.5 to 1."""
    return page.evaluate(FAINT_TEXT)


def tab_through(page: Any) -> None:
    """Goes through the page by the Tab key. Fails where something cannot be reached, or shows no ring there."""
    wanted = dict(map(tuple, page.evaluate(TO_REACH)))
    reached, faint = set(), []
    for _ in range(2 * len(wanted) + 10):
        page.keyboard.press("Tab")
        here = page.evaluate(REACHED)
        if here is None or here[0] in reached:
            break
        reached.add(here[0])
        faint += [] if here[1] else [here[2]]
    missed = [wanted[place] for place in wanted.keys() - reached]
    assert len(wanted) > 3, wanted
    assert not missed, missed
    assert not faint, faint


def sections(page: Any) -> list[tuple[str, float, float, float, float]]:
    """(id, left, top, right, bottom) of the page's sections, on the whole page."""
    return page.evaluate("""[...document.querySelectorAll("main > section")].map(e => {
      const box = e.getBoundingClientRect();
      return [e.id, box.left + scrollX, box.top + scrollY, box.right + scrollX, box.bottom + scrollY];
    })""")


def screenshot(page: Any, name: str) -> Picture:
    """(H, W, 3) of the whole page, kept in the folder that LIMBECK_SCREENSHOTS names, where it does."""
    load_pictures(page)
    taken = page.screenshot(full_page=True, animations="disabled")
    if folder := os.environ.get("LIMBECK_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(taken)
    return np.asarray(Image.open(io.BytesIO(taken)).convert("RGB"))


def looks_right(shot: Picture, found: list[tuple[str, float, float, float, float]], expected: list[str]) -> None:
    """The sections are there in their order, one below the other, inside the page, and none of them is blank."""
    assert [name for name, *_ in found] == expected
    for name, left, top, right, bottom in found:
        assert 0 <= left < right <= shot.shape[1], name
        seen = shot[round(top) : round(bottom), round(left) : round(right)]
        assert seen.size, name
        assert seen.std() > 3, name
    for (_, _, _, _, above), (name, _, below, _, _) in pairwise(found):
        assert below >= above - 1, name

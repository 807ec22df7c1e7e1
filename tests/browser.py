"""A headless Chromium of the system's for tests of pages; where there is none its tests are skipped and say so.

A test module takes part by ``from tests.browser import browser  # noqa: F401``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--no-sandbox",  # a root in a container has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser a module, with a profile of its own that goes with it.

    Not one a session: while Playwright is at work its thread has a running event loop, which other tests' libraries
    would stumble over.
    """
    path = next((path for name in NAMES if (path := shutil.which(name)) and _answers(path)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="no browser: Playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=list(SWITCHES))
        yield chromium
        chromium.close()


def _answers(path: str) -> bool:
    """Whether it is a browser, not a stand-in that says where to get one."""
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


@contextmanager
def opened(
    browser: Any,
    path: Path,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    scripts: bool = True,
    still: bool = False,
) -> Iterator[Any]:
    """A file in a tab that has no network. Fails where the page asks for anything beside itself, or complains.

    Args:
        width, height: of the window, in CSS pixels.
        dark: the reader's system is dark. scripts: they may run. still: the reader wants no motion.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        reduced_motion="reduce" if still else "no-preference",
        offline=True,
    )
    address, wrong = path.resolve().as_uri(), []

    def asked(request: Any) -> None:
        if request.url.partition("#")[0] != address and not request.url.startswith(("data:", "blob:")):
            wrong.append(f"asks for {request.url}")

    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("request", asked)
    page.on("requestfailed", lambda request: wrong.append(f"failed to load {request.url[:80]}: {request.failure}"))
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    try:
        page.goto(address)
        yield page
        page.evaluate("0") if scripts else None  # what the page still had to say has arrived when this has
    finally:
        context.close()
    assert not wrong, wrong

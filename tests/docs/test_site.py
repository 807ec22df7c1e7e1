"""The site is built without a warning and loads nothing from anywhere else."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys

import pytest

from limbeck.methods import methods
from tests.docs.pages import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocstrings") is None, reason="mkdocs-material and mkdocstrings are not installed"
)
LOADED = re.compile(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)=\"?([^\" >]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loaded = LOADED.findall(page.read_text(encoding="utf-8"))
        assert not [url for url in loaded if url.startswith(("http", "//"))], page
    for sheet in site.rglob("*.css"):
        assert "url(http" not in sheet.read_text(encoding="utf-8")


def test_what_is_generated_is_there(site):
    for name, method in methods().items():
        card = (site / "methods" / f"{name}.html").read_text(encoding="utf-8")
        assert "make:" not in card
        for setting in dataclasses.fields(method):
            assert f"--method.{setting.name.replace('_', '-')}" in card
    protocols = (site / "protocols.html").read_text(encoding="utf-8")
    assert "retrieval-linear-heads-mixed" in protocols
    choosing = (site / "choosing.html").read_text(encoding="utf-8")
    assert "Herding + factor 2, undistilled" in choosing


def test_docstrings_are_there(site):
    api = (site / "api.html").read_text(encoding="utf-8")
    for name in ("distill", "evaluate", "train", "compare", "SyntheticSet", "PairedStore", "Method", "icm", "stream"):
        assert f'limbeck.{name}"' in api or f'.{name}"' in api, name
    assert ":class:" not in api


def test_search_finds_pages(site):
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "methods/mdm.html" in index
    assert "choosing.html" in index

"""What the pages show in Python runs, in the order it stands there."""

from __future__ import annotations

import shutil
import sys
import types

import numpy as np
import pytest

import limbeck
from tests.conftest import SMALL
from tests.docs.pages import PAGES, ROOT, blocks

SHOWN = [page for page in PAGES if blocks(page, "python")]
NOT_RUN = 0
"""Blocks that are marked as not to be run."""


@pytest.fixture(scope="module")
def prepared(toy, tmp_path_factory):
    """What the pages speak of: a finished run, and media with manifests."""
    from PIL import Image

    root = tmp_path_factory.mktemp("pages")
    limbeck.distill("random", toy, out=root / "runs" / "first", per_class=1, **SMALL)
    rows = ["image,label"]
    for number in range(8):
        pixels = np.full((40, 40, 3), 30 * number, np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        rows.append(f"{number}.png,{'cat' if number % 2 else 'dog'}")
    (root / "my_pictures.csv").write_text("\n".join(rows))
    (root / "misspelt.csv").write_text("\n".join(rows).replace("label", "lable"))
    return root


@pytest.fixture
def at_home(prepared, tmp_path, monkeypatch):
    """A copy of it to work in, and the registry as it was."""
    from limbeck.methods import base, methods

    methods()  # all there are, before the registry is put aside
    monkeypatch.setattr(base, "REGISTRY", dict(base.REGISTRY))
    monkeypatch.setattr("limbeck.methods.REGISTRY", base.REGISTRY)
    shutil.copytree(prepared, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")


@pytest.mark.parametrize("page", SHOWN, ids=[str(page.relative_to(ROOT)) for page in SHOWN])
@pytest.mark.usefixtures("at_home")
def test_the_python_of_a_page_runs(page, monkeypatch):
    for home in ("encoders.fused", "evaluation.trained"):  # nothing is compiled for a few items
        monkeypatch.setattr(f"limbeck.{home}.default_kernels", lambda _: "literal")
    module = types.ModuleType("shown")
    module.__dict__["limbeck"] = limbeck
    monkeypatch.setitem(sys.modules, "shown", module)  # dataclasses look their module up
    for number, block in enumerate(blocks(page, "python")):
        if block.run:
            exec(compile(block.text, f"{block.name}, block {number + 1}", "exec"), module.__dict__)
    if page.name in ("README.md", "index.md"):
        assert set(next(iter(module.loader))) == {"image", "audio", "label"}
        assert len(module.pictures) == len(module.sounds) == 4
    if page.name == "index.md":
        again = limbeck.evaluate("runs/first", seeds=[0], kernels="literal")
        assert module.scores["fused"] == pytest.approx(again["mean"]["fused"])
    if page.name == "writing_a_method.md":
        assert module.synthetic.provenance["settings"]["method"] == {"weight": 2.0}
        assert module.Sliced().directions == 64  # the example's file stands on the page


def test_few_blocks_are_left_out():
    assert sum(not block.run for page in PAGES for block in blocks(page, "python")) == NOT_RUN

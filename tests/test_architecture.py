"""Dependencies point one way, and importing costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import limbeck

ROOT = Path(limbeck.__file__).parent

BELOW = {
    "errors": set(),
    "rng": set(),
    "files": {"errors"},
    "units": set(),
    "progress": set(),
    "config": {"errors", "files"},
    "modalities": {"errors", "rng"},
    "data": {"modalities", "progress", "encoders"},
    "synthetic": {"modalities", "data"},
    "losses": {"errors"},
    "encoders": {"modalities"},
    "augment": {"errors", "rng"},
    "training": {"encoders", "augment", "losses", "data", "synthetic"},
    "banks": {"training", "losses"},
    "selection": {"data", "banks"},
    "methods": {"losses", "banks", "selection", "synthetic"},
    "engine": {"methods", "synthetic", "banks", "selection", "evaluation"},
    "evaluation": {"training", "synthetic", "banks"},
    "recipes": {"engine", "evaluation", "data", "report"},
    "report": {"synthetic", "evaluation"},
    "export": {"synthetic", "evaluation", "methods"},
    "studies": {"engine", "evaluation", "report"},
    "doctor": {"encoders", "data"},
    "inspection": {"synthetic", "data"},
    "cli": {"engine", "evaluation", "report", "export", "doctor", "inspection", "recipes", "studies"},
}
"""Each room and the rooms right below it; what those stand on is below it too."""


def _reach(room: str) -> set[str]:
    found = {room}
    for below in BELOW[room]:
        found |= _reach(below)
    base = {"errors", "rng", "files", "config", "units"}
    return found if room in base else found | base


def _edges() -> set[tuple[str, str, str]]:
    """(file, room, room it imports)."""
    edges = set()
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts in (("__init__",), ("__main__",)):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module] if node.module != "limbeck" else [f"limbeck.{a.name}" for a in node.names]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            for name in names:
                pieces = name.split(".")
                if pieces[0] == "limbeck" and len(pieces) > 1 and pieces[1] != "__version__":
                    edges.add(("/".join(parts), parts[0], pieces[1]))
    return edges


def test_no_import_points_up():
    wrong = sorted(f"{file} imports {room}" for file, own, room in _edges() if room not in _reach(own))
    assert not wrong, wrong


def test_every_room_is_on_the_map():
    rooms = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p.is_dir() and any(p.glob("*.py")))}
    assert rooms - {"__init__", "__main__", "__pycache__"} <= set(BELOW)


def test_nothing_imports_the_command_line():
    assert not [e for e in _edges() if e[2] == "cli" and e[1] != "cli"]


def test_importing_leaves_torch_alone():
    code = "import sys, limbeck; assert not {'torch', 'numpy', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("words", [["--help"], ["distill", "mdm", "--help"], ["evaluate", "--help"]])
def test_help_leaves_torch_alone(words):
    code = (
        "import sys, contextlib\nfrom limbeck.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({words})\n"
        "assert not {'torch', 'sklearn', 'matplotlib', 'av'} & set(sys.modules)"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    # the promise is 1.5 s on a quiet machine; this bound only catches a heavy import
    assert time.perf_counter() - start < 10

"""What every test stands on: one thread, a cache of its own, and small generated sets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Nothing a test keeps can reach another run, nor the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("LIMBECK_CACHE")
    os.environ["LIMBECK_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["LIMBECK_CACHE"]
    else:
        os.environ["LIMBECK_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory):
    """Picture and sound, four classes of 20 + 5 + 5 items, 16 x 16."""
    from limbeck.data.toy import make_toy

    return make_toy(tmp_path_factory.mktemp("toy") / "store")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data that stands beside the checkout, where it is there."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("shared data not present")
    return folder


SMALL = {"kernels": "literal", "channels": 8, "threads": 1, "device": "cpu", "real_batch": 8}
"""Settings of a run that takes well under a second."""


@pytest.fixture
def small() -> dict:
    return dict(SMALL)

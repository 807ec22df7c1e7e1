"""What a run keeps in memory does not grow with the real set; mapped pages are the system's and do not count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from limbeck.data.toy import make_toy

MEASURE = """
import sys, threading, time
import limbeck
peak, done = 0, threading.Event()

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

def watch():
    global peak
    while not done.is_set():
        peak = max(peak, anonymous())
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
limbeck.distill("dm", sys.argv[1], out=sys.argv[2], per_class=2, steps=25, kernels="literal", channels=8, threads=1,
                real_batch=20, group=4, real_group=1, cache=False, device="cpu")
done.set()
watcher.join()
print(peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to tell anonymous memory apart")
def test_the_peak_does_not_grow_with_the_real_set(tmp_path):
    peaks = []
    for per_class in (50, 5000):
        store = make_toy(tmp_path / f"{per_class}", per_class=(per_class, 1, 1), image_size=32, mel=(32, 32))
        assert len(store) == 4 * (per_class + 2)
        command = [sys.executable, "-c", MEASURE, str(store.path), str(tmp_path / f"run{per_class}")]
        found = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
        peaks.append(int(found.stdout))
    assert peaks[1] < 1.05 * peaks[0], peaks

from __future__ import annotations

import subprocess
import sys

import pytest

from limbeck.encoders.allocator import keep_freed_memory

FAULTS = """
import resource, torch
from limbeck.encoders.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    torch.ones(8 << 20).add_(1)  # 32 MiB
before = faults()
for _ in range(10):
    torch.ones(8 << 20).add_(1)
print(faults() - before)
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="another C library than glibc")
def test_freed_pages_are_not_paid_for_again() -> None:
    with_it, without = (
        int(subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (True, False)
    )
    assert with_it < without / 5

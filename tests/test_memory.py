"""Freed memory serves the next tensors, in whatever thread they are made."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from mfd.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
import torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    torch.ones(12_000_000)
turn, all_there = Lock(), Barrier(5)
def make(length):
    with turn:
        torch.ones(length)
    all_there.wait()
with ThreadPoolExecutor(5) as pool:
    list(pool.map(make, [1] * 5))
    before = faults()
    list(pool.map(make, [12_000_000] * 5))
    print(faults() - before)
"""


def page_faults(how: str) -> int:
    """Of five tensors of 48 MB, made and freed one after the other, in a thread each."""
    # commands that ran in this process before may have left their choice behind
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "THP_MEM_"))}
    command = [sys.executable, "-c", COUNT, how]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=own)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_of_a_freed_tensor_is_not_fetched_from_the_system_again() -> None:
    returned = page_faults("returned")
    assert returned >= 5 * 48_000_000 // 65536  # pages of 64 KB at most: there is much to gain
    # fewer than even pages of 2 MB would cost if each tensor were fetched anew; a system short of
    # memory may take some meanwhile, but not every time
    kept = min(page_faults("kept") for _ in range(3))
    assert kept < 5 * 48_000_000 // 2**21 // 2

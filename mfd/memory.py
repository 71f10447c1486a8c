"""How a process that works with large tensors on a CPU gets its memory."""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # mallopt's names in glibc's malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let freed memory serve the next tensors instead of the system, in pages of 2 MB.

    glibc returns every block above 32 MB at once, and getting the next one costs a page fault for
    every 4 KB of it. What one thread frees, only that thread gets again, unless all have one arena:
    then batches that are read ahead in threads are read into memory of earlier ones. To be called
    before PyTorch makes its first tensor. Changes nothing where the C library is another one, or
    where the environment says otherwise.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)
        mallopt(_ARENA_MAX, 1)

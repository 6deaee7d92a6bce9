"""How a process deals with memory once it serves: what stays, what is used again.

Called by `workers.py` when a process has started.
"""

import ctypes
import gc
from typing import Final

# Parameters of glibc's `mallopt(3)`. A block larger than the first is the system's, and
# goes back to it; and so does what is free at the heap's end, beyond the second.
_MMAP_THRESHOLD: Final = -3
_LARGEST_KEPT: Final = 4 * 2**20
_TRIM_THRESHOLD: Final = -1
_MOST_KEPT: Final = 32 * 2**20


def set_aside_what_stays() -> None:
    """Spare the garbage collector the schema and the modules, which live to the end.

    They are a few hundred thousand objects, and were looked through again and again:
    11 % of a query's CPU. What a request leaves behind is freed when it ends; cycles
    are rare, so they are looked for less often than after every 700 objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def keep_what_is_freed() -> None:
    """Keep the memory of large bodies for the next ones.

    By itself glibc gives it back at each end and asks for it anew, page by page: 50,000
    page faults a second with bodies over 128 KiB. Now it keeps up to 32 MiB at the end
    of its heap. Where the C library has no `mallopt` (musl, macOS) nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, _MOST_KEPT)

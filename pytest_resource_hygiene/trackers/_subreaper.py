"""Makes this process the one that orphaned grandchildren are handed to, prctl(2)."""

from __future__ import annotations

import sys

from pytest_resource_hygiene.compiled import speedups

__all__ = ["set_subreaper"]

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PR_GET_CHILD_SUBREAPER = 37


def set_subreaper(value: int) -> int | None:
    """Set whether orphans come to this process: 1 or 0.

    Returns:
        The former setting, or None where it cannot be changed.
    """
    if sys.platform != "linux":
        return None
    if speedups is not None:
        former_value: int | None = speedups.set_subreaper(value)
        return former_value
    try:
        import ctypes  # takes three milliseconds

        libc = ctypes.CDLL(None, use_errno=True)
        former = ctypes.c_int()
        if libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(former), 0, 0, 0) != 0:
            return None
        libc.prctl(_PR_SET_CHILD_SUBREAPER, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return None
    return former.value

"""How kernels are compiled: once, at their first call, and kept for the next process.

Two rules for kernels that are kept:

- They call those of their own file alone: the cache is told of changes in a function's file only.
- They take numbers, arrays and plain tuples: a cache that names a project's class cannot be read
  after that class has moved.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit

NOWHERE = (
    "compiled kernels cannot be kept, so that every process compiles them for some ten seconds: "
    "set NUMBA_CACHE_DIR to a folder that can be written"
)


def _jit(function: Callable, **options: Any) -> Callable:
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        # Neither beside the file nor in the user's cache folder can anything be written.
        warnings.warn(NOWHERE, RuntimeWarning, stacklevel=3)
        return njit(**options)(function)


compiled = _jit
"""Decorator of a kernel."""

leaf = partial(_jit, _nrt=False)
"""Decorator of a kernel that creates no array, not even a slice, and so need not count references:
that would cost small functions more than their work."""

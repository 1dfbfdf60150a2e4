"""The two rules for kernels that are kept on disk, and what happens where nothing can be kept."""

import inspect
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from numba.core.types import BaseNamedTuple

import wsoltool.functional
from wsoltool.functional import compilation
from wsoltool.functional.sweep import tight_sweeps, wsolevaluation_sweeps

MODULES = [
    import_module(f"wsoltool.functional.{module.name}")
    for module in iter_modules(wsoltool.functional.__path__)
]


def kernels(module):
    """The kernels that are written in a module."""
    own = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
    return [kernel for kernel in own if kernel.py_func.__module__ == module.__name__]


def test_there_are_kernels_to_look_at():
    assert len([kernel for module in MODULES for kernel in kernels(module)]) > 15


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_kernels_call_those_of_their_own_file_alone(module):
    for kernel in kernels(module):
        called = [vars(module).get(name) for name in kernel.py_func.__code__.co_names]
        for other in called:
            if isinstance(other, Dispatcher):
                assert other.py_func.__module__ == module.__name__, (kernel, other)


def test_kernels_take_plain_tuples():
    tight_sweeps(np.eye(4), [[0, 0, 2, 2]])
    wsolevaluation_sweeps(np.eye(4), [[0, 0, 2, 2]])
    signatures = [s for module in MODULES for kernel in kernels(module) for s in kernel.signatures]
    assert signatures
    assert not [s for s in signatures if any(isinstance(t, BaseNamedTuple) for t in s)]


@pytest.mark.parametrize("decorator", [compilation.compiled, compilation.leaf])
def test_a_kernel_that_cannot_be_kept_is_compiled_each_time_and_says_so(monkeypatch, decorator):
    asked = []

    def jit(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compilation, "njit", jit)
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR"):
        kernel = decorator(lambda value: value + 1)
    assert kernel(1) == 2
    assert asked == [True, False]


def test_kernels_let_other_threads_run():
    for module in MODULES:
        for kernel in kernels(module):
            assert kernel.targetoptions["nogil"], kernel
            assert inspect.isfunction(kernel.py_func)

"""Compiled functions and Numba's cache."""

import importlib
import pkgutil

import pytest
from numba.core.registry import CPUDispatcher

import defocus3d

MODULES = [name for _, name, _ in pkgutil.walk_packages(defocus3d.__path__, "defocus3d.")]


@pytest.mark.parametrize("name", MODULES)
def test_a_compiled_function_calls_none_of_another_file(name):
    """Or a change of that file would leave the old machine code in use: the cache looks at the function's own file only."""
    module = importlib.import_module(name)
    for function in vars(module).values():
        if isinstance(function, CPUDispatcher) and function.py_func.__module__ == name:
            called = [vars(module).get(word) for word in function.py_func.__code__.co_names]
            assert {c.py_func.__module__ for c in called if isinstance(c, CPUDispatcher)} <= {name}, function

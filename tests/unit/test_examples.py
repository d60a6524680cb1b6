"""Every example in the library runs, and everything public of mining and drawing has one.

A function always has one, and a class with methods has one, or one of its methods has. Classes that only hold what
functions take or give need none: the examples of those functions show them.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import ocelake

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(ocelake.__path__, "ocelake.")
    if not module.name.endswith("__main__")
)
EXTRAS = {"ocelake.models.sequence": "autograd"}
"""Modules, and the package of an extra that each needs."""
SHOWN = [name for name in MODULES if name.startswith(("ocelake.mining", "ocelake.draw"))]


def needs_example(thing: object) -> bool:
    """Say whether a public object has to have an example."""
    if inspect.isclass(thing):
        return any(inspect.isroutine(part) and not name.startswith("_") for name, part in vars(thing).items())
    return inspect.isfunction(thing)


def public(module: ModuleType) -> list[tuple[str, object]]:
    """Give what a module itself defines and exports."""
    named = [(name, getattr(module, name)) for name in getattr(module, "__all__", ())]
    return [(name, thing) for name, thing in named if getattr(thing, "__module__", None) == module.__name__]


@pytest.mark.parametrize("name", SHOWN)
def test_everything_public_has_an_example(name: str) -> None:
    without = [
        part
        for part, thing in public(importlib.import_module(name))
        if needs_example(thing) and not any(test.examples for test in doctest.DocTestFinder().find(thing, part))
    ]
    assert without == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    assert doctest.testmod(importlib.import_module(name)).failed == 0

"""ocelake: an object-centric process mining lakehouse.

The library does the work and knows no orchestrator: read and write logs (`ocelake.ocel`), mine them
(`ocelake.mining`), keep them in versioned Iceberg tables (`ocelake.lake`), draw them (`ocelake.draw`).

Examples
--------
>>> from ocelake import open_lake
>>> lake = open_lake()                                   # doctest: +SKIP
>>> lake.ocel("orders").events                           # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocelake.lake import Lake as Lake
    from ocelake.lake import open_lake as open_lake
    from ocelake.ocel import Ocel as Ocel

__all__ = ["Lake", "Ocel", "open_lake"]

_LAZY = {"Lake": "ocelake.lake", "open_lake": "ocelake.lake", "Ocel": "ocelake.ocel"}


def __getattr__(name: str) -> Any:
    """Import the engines only when they are asked for, so that `ocelake --help` answers at once."""
    if name not in _LAZY:
        raise AttributeError(f"module 'ocelake' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)

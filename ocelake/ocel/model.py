"""The OCEL 2.0 log as frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import polars as pl

from ocelake.tables import frame_schema

if TYPE_CHECKING:
    import pm4py

__all__ = ["Ocel", "frame_schema"]


def _empty(name: str) -> Any:
    return field(default_factory=lambda: frame_schema(f"ocel.{name}").to_frame())


@dataclass(frozen=True, slots=True, eq=False)
class Ocel:
    """One object-centric event log: the tables that silver publishes, as Polars frames.

    Each frame has the columns of its table in `ocelake.tables` without ``log_id`` and ``bucket``, sorted by the
    table's sort order.

    See Also
    --------
    ocelake.lake.Lake.ocel : read one from the lake, at any publication.
    """

    events: pl.DataFrame = _empty("events")
    objects: pl.DataFrame = _empty("objects")
    event_objects: pl.DataFrame = _empty("event_objects")
    object_objects: pl.DataFrame = _empty("object_objects")
    event_attributes: pl.DataFrame = _empty("event_attributes")
    object_attributes: pl.DataFrame = _empty("object_attributes")
    event_types: pl.DataFrame = _empty("event_types")
    object_types: pl.DataFrame = _empty("object_types")
    event_type_attributes: pl.DataFrame = _empty("event_type_attributes")
    object_type_attributes: pl.DataFrame = _empty("object_type_attributes")
    log_metadata: pl.DataFrame = _empty("log_metadata")

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Iterate over (table identifier, frame), in registry order."""
        for item in fields(self):
            yield f"ocel.{item.name}", getattr(self, item.name)

    def to_pm4py(self) -> pm4py.objects.ocel.obj.OCEL:
        """Give the log as pm4py's OCEL object (pandas frames)."""
        from ocelake.ocel.pm4py_bridge import to_pm4py

        return to_pm4py(self)

    @classmethod
    def from_pm4py(cls, ocel: pm4py.objects.ocel.obj.OCEL) -> Ocel:
        """Take a log over from pm4py's OCEL object."""
        from ocelake.ocel.pm4py_bridge import from_pm4py

        return from_pm4py(ocel)

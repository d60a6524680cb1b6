"""Pictures of a log as the lake has it: the one place where kinds of pictures meet the tables that they show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from ocelake.draw import (
    draw_dotted_chart,
    draw_execution_variants,
    draw_ocdfg,
    draw_ocpn,
    draw_performance_spectrum,
    draw_timeline,
    draw_variants,
    draw_waiting_heat_map,
)
from ocelake.errors import NotFound
from ocelake.kinds import Kind
from ocelake.mining.spectrum import dotted_chart, performance_spectrum, waiting_times

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.lake.records import AsOf, Moment

__all__ = ["draw_log"]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a picture's data comes from, and how much of it is asked for."""

    lake: Lake
    log_id: str
    moment: Moment
    object_types: Collection[str] | None
    coverage: float | None

    def table(self, identifier: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Read a table of the log."""
        return self.lake.read(identifier, self.log_id, as_of=self.moment, columns=columns)

    def of_types(self, identifier: str) -> pl.DataFrame:
        """Read the rows of the asked types."""
        frame = self.table(identifier)
        return (
            frame if self.object_types is None else frame.filter(pl.col("object_type").is_in(list(self.object_types)))
        )


def draw_log(
    kind: Kind,
    lake: Lake,
    log_id: str,
    *,
    object_types: Collection[str] | None = None,
    coverage: float | None = None,
    as_of: AsOf | Moment = None,
) -> str:
    """Draw one picture of a log.

    Parameters
    ----------
    kind : Kind
        What to draw.
    lake, log_id : Lake, str
        The log.
    object_types : collection of str, optional
        Draw these alone.
    coverage : float, optional
        Of an OC-DFG: the share of its flow to show, 0 to 1; by default as much as stays readable.
    as_of : datetime, str or Moment, optional
        Draw the log as it was then.

    Returns
    -------
    str
        An SVG document.

    Raises
    ------
    NotFound
        Where the log does not have what is to be drawn at that moment, or not such an object type.
    """
    moment = lake.moment(as_of)
    layer = "model" if kind is Kind.ocpn else "gold"
    if lake.latest(log_id, layer, moment) is None:
        missing = "no current model" if kind is Kind.ocpn else "no gold tables"
        raise NotFound(
            f"The log {log_id!r} has {missing} at that moment.",
            fix="Name a later moment, or see the checks of its run.",
        )
    if object_types is not None:
        known = lake.read("ocel.object_types", log_id, as_of=moment)["object_type"].to_list()
        if unknown := sorted(set(object_types) - set(known)):
            raise NotFound(f"The log has no object type {unknown[0]!r}.", fix=f"Its types: {', '.join(known)}.")
    return _DRAWN[kind](_Source(lake, log_id, moment, object_types, coverage))


def _ocdfg(source: _Source) -> str:
    nodes, edges = source.table("gold.ocdfg_nodes"), source.table("gold.ocdfg_edges")
    return draw_ocdfg(nodes, edges, object_types=source.object_types, coverage=source.coverage)


def _ocpn(source: _Source) -> str:
    places, transitions, arcs, markings, layout = (
        source.table(f"ocpn.{part}") for part in ("places", "transitions", "arcs", "markings", "layout")
    )
    return draw_ocpn(places, transitions, arcs, markings, layout, object_types=source.object_types)


def _variants(source: _Source) -> str:
    return draw_variants(source.of_types("gold.trace_variants"))


def _executions(source: _Source) -> str:
    return draw_execution_variants(source.table("gold.execution_variants"))


def _timeline(source: _Source) -> str:
    return draw_timeline(source.table("ocel.events", ["activity", "time"]))


def _dotted(source: _Source) -> str:
    traces = source.lake.traces(source.log_id, as_of=source.moment)
    return draw_dotted_chart(dotted_chart(traces, object_types=source.object_types))


def _spectrum(source: _Source) -> str:
    traces = source.lake.traces(source.log_id, as_of=source.moment)
    return draw_performance_spectrum(performance_spectrum(traces, object_types=source.object_types))


def _waiting(source: _Source) -> str:
    traces = source.lake.traces(source.log_id, as_of=source.moment)
    return draw_waiting_heat_map(waiting_times(traces, object_types=source.object_types))


_DRAWN: Final[Mapping[Kind, Callable[[_Source], str]]] = {
    Kind.ocdfg: _ocdfg,
    Kind.ocpn: _ocpn,
    Kind.variants: _variants,
    Kind.executions: _executions,
    Kind.timeline: _timeline,
    Kind.dotted: _dotted,
    Kind.spectrum: _spectrum,
    Kind.waiting: _waiting,
}

"""Pictures of a log as the lake has it: the one place where kinds of pictures meet the tables that they show."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import polars as pl

from ocelake.draw import (
    draw_dotted_chart,
    draw_execution_variants,
    draw_ocdfg,
    draw_ocpn,
    draw_performance_spectrum,
    draw_price_bars,
    draw_timeline,
    draw_variants,
    draw_waiting_heat_map,
    explore_page,
)
from ocelake.errors import NotFound
from ocelake.kinds import Kind
from ocelake.lake.build import DRAWN
from ocelake.mining.ocdfg_filter import filter_ocdfg
from ocelake.mining.ocpn import discover_ocpn, ocpn_tables
from ocelake.mining.spectrum import dotted_chart, performance_spectrum, waiting_times

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord
    from ocelake.lake.records import AsOf, Moment
    from ocelake.mining.traces import Traces
    from ocelake.tables import Layer

__all__ = ["as_markdown", "draw_kinds", "draw_log", "live_pictures"]

_LIVE: Final = ("gold.ocdfg_nodes", "gold.ocdfg_edges")
"""The tables whose picture is drawn again while a log streams in: their graph takes little time, and shows most."""


@dataclass(frozen=True, eq=False)
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

    @cached_property
    def traces(self) -> Traces:
        """The log's traces, encoded once for all pictures."""
        return self.lake.traces(self.log_id, as_of=self.moment)

    def known_types(self, identifier: str) -> list[str]:
        """Give the object types that are in a table, sorted."""
        rows = self.lake.scan(identifier, self.log_id, as_of=self.moment, columns=["object_type"])
        return sorted(rows.unique().drop_nulls().collect()["object_type"])

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
    """Draw one picture of a log; see `draw_kinds`."""
    return draw_kinds([kind], lake, log_id, object_types=object_types, coverage=coverage, as_of=as_of)[kind]


def draw_kinds(
    kinds: Iterable[Kind],
    lake: Lake,
    log_id: str,
    *,
    object_types: Collection[str] | None = None,
    coverage: float | None = None,
    as_of: AsOf | Moment = None,
) -> dict[Kind, str]:
    """Draw pictures of a log.

    Parameters
    ----------
    kinds : iterable of Kind
        What to draw.
    lake, log_id : Lake, str
        The log.
    object_types : collection of str, optional
        Draw these alone.
    coverage : float, optional
        0 to 1. Of an OC-DFG the share of its flow to show, by default as much as stays readable; of an OCPN the share
        of each type's objects whose most frequent variants it is mined from, by default all.
    as_of : datetime, str or Moment, optional
        Draw the log as it was then.

    Returns
    -------
    dict of Kind to str
        SVG documents; of `Kind.slider` an HTML page.

    Raises
    ------
    NotFound
        Where the log does not have what is to be drawn at that moment, or no events of such an object type.
    """
    source = _Source(lake, log_id, lake.moment(as_of), object_types, coverage)
    found: dict[Kind, str] = {}
    for kind in kinds:
        layer = _LAYERS.get(kind, "gold")
        if lake.latest(log_id, layer, source.moment) is None:
            advice = "Name a later moment, or see the checks of its run."
            raise NotFound(f"The log {log_id!r} has {_MISSING[layer]} at that moment.", fix=advice)
        if object_types is not None:
            known = source.known_types("gold.ocdfg_nodes" if layer == "gold" else "ocel.event_objects")
            if unknown := sorted(set(object_types).difference(known)):
                raise NotFound(
                    f"The log has no events of the object type {unknown[0]!r}.", fix=f"Types: {', '.join(known)}."
                )
        found[kind] = _DRAWN[kind](source)
    return found


def live_pictures(lake: Lake, record: PublicationRecord) -> dict[str, str]:
    """Draw what a publication is worth looking at while its log streams in.

    Returns
    -------
    dict of str to str
        Pictures as Markdown, by table; of gold the OC-DFG, of bars themselves, of other layers none.
    """
    if record.layer == "bars":
        names = ("gold.price_bars", "gold.price_anomalies")
        bars, anomalies = (lake.read(name, record.log_id, as_of=record.publication_id) for name in names)
        return {"gold.price_bars": as_markdown(draw_price_bars(bars, anomalies), "Price bars")}
    if record.layer != "gold":
        return {}
    svg = draw_log(Kind.ocdfg, lake, record.log_id, as_of=record.publication_id)
    return dict.fromkeys(_LIVE, as_markdown(svg, "OC-DFG"))


def as_markdown(svg: str, title: str) -> str:
    """Give a picture as Markdown that holds all of it, as the Dagster UI shows it."""
    return f"![{title}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"


def _ocdfg(source: _Source) -> str:
    nodes, edges = source.table("gold.ocdfg_nodes"), source.table("gold.ocdfg_edges")
    return draw_ocdfg(nodes, edges, object_types=source.object_types, coverage=source.coverage)


def _ocpn(source: _Source) -> str:
    if source.coverage is not None and source.coverage < 1:
        return _main_ocpn(source)
    places, transitions, arcs, markings, layout = (source.table(f"ocpn.{part}") for part in (*DRAWN, "layout"))
    return draw_ocpn(places, transitions, arcs, markings, layout, object_types=source.object_types)


def _main_ocpn(source: _Source) -> str:
    """Draw the net of the most frequent variants, mined as the current model was."""
    parameters = json.loads(source.table("ocpn.models")["parameters"][0])
    ocpn = discover_ocpn(source.traces, **parameters, coverage=source.coverage or 0.0)
    tables = ocpn_tables(ocpn, version=0, publication_id="", parameters=parameters)
    places, transitions, arcs, markings = (
        tables[f"ocpn.{part}"] for part in ("places", "transitions", "arcs", "markings")
    )
    return draw_ocpn(places, transitions, arcs, markings, object_types=source.object_types)


def _variants(source: _Source) -> str:
    return draw_variants(source.of_types("gold.trace_variants"))


def _executions(source: _Source) -> str:
    return draw_execution_variants(source.table("gold.execution_variants"))


def _timeline(source: _Source) -> str:
    return draw_timeline(source.table("ocel.events", ["activity", "time"]))


def _dotted(source: _Source) -> str:
    return draw_dotted_chart(dotted_chart(source.traces, object_types=source.object_types))


def _spectrum(source: _Source) -> str:
    return draw_performance_spectrum(performance_spectrum(source.traces, object_types=source.object_types))


def _waiting(source: _Source) -> str:
    return draw_waiting_heat_map(waiting_times(source.traces, object_types=source.object_types))


def _slider(source: _Source) -> str:
    nodes, edges = source.table("gold.ocdfg_nodes"), source.table("gold.ocdfg_edges")
    return explore_page(*filter_ocdfg(nodes, edges, object_types=source.object_types), title=source.log_id)


_LAYERS: Final[Mapping[Kind, Layer]] = {
    Kind.ocpn: "model",
    **dict.fromkeys((Kind.timeline, Kind.dotted, Kind.spectrum, Kind.waiting), "silver"),
}
"""The layer whose tables a picture shows, where that is not gold."""

_MISSING: Final[Mapping[str, str]] = {
    "silver": "no OCEL tables",
    "gold": "no gold tables",
    "model": "no current model",
}

_DRAWN: Final[Mapping[Kind, Callable[[_Source], str]]] = {
    Kind.ocdfg: _ocdfg,
    Kind.ocpn: _ocpn,
    Kind.variants: _variants,
    Kind.executions: _executions,
    Kind.timeline: _timeline,
    Kind.dotted: _dotted,
    Kind.spectrum: _spectrum,
    Kind.waiting: _waiting,
    Kind.slider: _slider,
}

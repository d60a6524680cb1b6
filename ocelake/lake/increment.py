"""Bringing a log's silver and gold, or a feed's prices and bars, up to its newest records, by what these change.

The outcome is that of a whole computation (`ocelake.lake.build`); the way is shorter. A stream takes it every few
seconds: it keeps what gold is followed from (`ocelake.mining.incremental`) in memory, and reads what changed in silver.
A process that has nothing in memory, such as a Dagster run, computes gold as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from ocelake import metrics
from ocelake.errors import LakeError, NotFound, StalePublication
from ocelake.lake.audits import audit_bars, audit_gold, audit_kpis, audit_prices, audit_silver, blocking
from ocelake.lake.build import (
    STEPS,
    Content,
    log_layers,
    named_attributes,
    newest_number,
    publish,
    silver_frames,
    silver_tables,
    sources,
    unchanged,
)
from ocelake.lake.kpis import TABLE as WINDOWS
from ocelake.lake.kpis import window_changes
from ocelake.lake.prices import bar_changes, price_changes
from ocelake.lake.silver_changes import silver_changes
from ocelake.mining.incremental import LogChange
from ocelake.mining.incremental.gold import GoldState, follow_gold, gold_state
from ocelake.mining.performance import attribute_names
from ocelake.ocel.model import Ocel

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ocelake.lake.build import Sources
    from ocelake.lake.lake import Lake
    from ocelake.lake.prices import Changes
    from ocelake.lake.records import PublicationRecord
    from ocelake.ocel.audit import Finding
    from ocelake.settings import KpiSettings, LogSettings, MiningSettings, PriceSettings
    from ocelake.tables import Layer

__all__ = ["Computed", "Followed", "advance", "compute_silver", "known_types"]

_ATTEMPTS: Final = 5
_EVENT: Final = ["event_id", "activity", "time", "sequence"]
_OBJECT: Final = ["object_type", "object_id"]
_RELATION: Final = ["event_id", "object_id"]


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """A layer's tables, ready to be published.

    Attributes
    ----------
    tables : mapping of str to Content
        Every table: all of its rows, or what changes in it.
    findings : list of Finding
        What the layer's checks found; of changes, in the rows that were computed.
    incremental : bool
        Whether only changes were computed.
    followed : Followed, optional
        What gold is followed from once this is published.
    """

    tables: Mapping[str, Content]
    findings: list[Finding]
    incremental: bool
    followed: Followed | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What is kept in memory of a log to follow it: the state of gold at a silver publication."""

    silver: PublicationRecord
    settings: MiningSettings
    state: GoldState


def compute_silver(lake: Lake, read: Sources, settings: LogSettings, *, whole: bool = False) -> Computed:
    """Compute a log's silver layer from its bronze, and audit it.

    Parameters
    ----------
    read : mapping of Layer to PublicationRecord
        The bronze publication.
    settings : LogSettings
        How the log is read.
    whole : bool
        Whether to compute it as a whole although changes would do.
    """
    bronze = read["bronze"]
    silver, previous = lake.latest(bronze.log_id, "silver"), known_types(lake, bronze.log_id)
    if silver is not None:
        changes = None if whole else silver_changes(lake, silver, bronze, settings)
        if changes is not None:
            return Computed(changes.tables, audit_silver(changes.part, settings, previous), incremental=True)
    conformed = silver_frames(lake, bronze.log_id, bronze, settings)
    return Computed(silver_tables(conformed), audit_silver(conformed, settings, previous), incremental=False)


def known_types(lake: Lake, log_id: str) -> Ocel | None:
    """Give the types of a log as published now, to tell new ones by; None before the first time."""
    if lake.latest(log_id, "silver") is None:
        return None
    return Ocel(**{name: lake.read(f"ocel.{name}", log_id) for name in ("event_types", "object_types")})


def advance(
    lake: Lake, log_id: str, layers: Sequence[Layer] = ("silver", "gold", "kpis", "prices", "bars")
) -> dict[Layer, PublicationRecord]:
    """Bring silver and gold of a log, or prices and bars of a feed, up to its newest bronze publication.

    Where another process publishes a layer meanwhile, the layer is computed again from what it published.

    Parameters
    ----------
    lake : Lake
        Kept between calls: it remembers what gold is followed from, so that the first call for a log takes longer.
    log_id : str
        A log that has bronze records.
    layers : sequence of Layer
        These alone.

    Returns
    -------
    dict of Layer to PublicationRecord
        The newest publication of each layer; the same as before where nothing came.

    Raises
    ------
    LakeError
        Where a blocking check failed: its layer, and those after it, stay as they were.
    """
    return {
        layer: _advanced(lake, log_id, layer)
        for layer in log_layers(lake, log_id)
        # Where nothing is declared, there is nothing to keep up: whoever builds all layers publishes that once.
        if layer in layers and (layer != "kpis" or lake.settings.kpis(log_id).windows)
    }


def _advanced(lake: Lake, log_id: str, layer: Layer) -> PublicationRecord:
    attempt, began = 0, time.perf_counter()
    while True:
        base = newest_number(lake, log_id, layer)
        read, settings = sources(lake, log_id, layer), STEPS[layer].settings(lake, log_id)
        kept = unchanged(lake, read, layer, settings)
        if kept is not None:
            return kept
        try:
            computed = _COMPUTE[layer](lake, read, settings)
            if failed := blocking(computed.findings):
                raise LakeError(
                    f"The layer {layer} was not published: {'; '.join(finding.message for finding in failed)}.",
                    where=log_id,
                    fix=f"Correct the log or its settings (logs/{log_id}.yaml).",
                )
            record = publish(lake, read, layer, computed.tables, settings=settings, base=base)
        except StalePublication:
            attempt += 1
            if attempt == _ATTEMPTS:
                raise
            time.sleep(0.1 * attempt)
        else:
            if computed.followed is not None:
                lake.followed[log_id] = computed.followed
            metrics.ADVANCE_SECONDS.labels(log_id, layer).observe(time.perf_counter() - began)
            return record


def _compute_gold(lake: Lake, read: Sources, settings: MiningSettings) -> Computed:
    """Compute gold by what silver's changes change in it, else as a whole."""
    silver = read["silver"]
    gold = lake.latest(silver.log_id, "gold")
    if gold is not None and gold.settings == settings.model_dump(mode="json"):
        followed = _followed(lake, gold, settings)
        found = _next(lake, followed, silver) if followed else None
        if found is not None:
            after, tables = found
            rows = {name: content[1] if isinstance(content, tuple) else content for name, content in tables.items()}
            traces = after.state.process.traces
            objects = pl.DataFrame(
                {"object_type": traces.object_types, "summaries": np.bincount(traces.object_type)},
                schema_overrides={"summaries": pl.Int64},
            )
            findings = audit_gold(rows, objects)
            return Computed(tables, findings, incremental=True, followed=after)
    whole = STEPS["gold"].compute(lake, read, settings, newest_number(lake, silver.log_id, "gold") + 1)
    return Computed(whole, audit_gold(whole), incremental=False)


def _compute_prices(lake: Lake, read: Sources, settings: LogSettings) -> Computed:
    """Compute the prices of a feed by what new ticks change, else as a whole."""
    return _changed_or_whole(lake, read, "prices", settings, price_changes, partial(audit_prices, settings=settings))


def _compute_kpis(lake: Lake, read: Sources, settings: KpiSettings) -> Computed:
    """Compute the live figures of a log by what new events change, else as a whole."""
    return _changed_or_whole(lake, read, "kpis", settings, _window_changes, audit_kpis)


def _window_changes(lake: Lake, before: PublicationRecord, silver: PublicationRecord, settings: KpiSettings) -> Changes:
    return {WINDOWS: window_changes(lake, before, silver, settings)}


def _compute_bars(lake: Lake, read: Sources, settings: PriceSettings) -> Computed:
    """Compute the bars of a feed by what new prices change, else as a whole."""
    return _changed_or_whole(lake, read, "bars", settings, bar_changes, audit_bars)


def _changed_or_whole(
    lake: Lake,
    read: Sources,
    layer: Layer,
    settings: BaseModel,
    changes: Callable[..., Changes],
    audit: Callable[[Mapping[str, pl.DataFrame]], list[Finding]],
) -> Computed:
    (source,) = read.values()
    before = lake.latest(source.log_id, layer)
    if before is not None and before.settings == settings.model_dump(mode="json"):
        with suppress(NotFound):  # what it was computed from may have expired
            found = changes(lake, before, source, settings)
            return Computed(found, audit({name: came for name, (_, came) in found.items()}), incremental=True)
    whole = STEPS[layer].compute(lake, read, settings, newest_number(lake, source.log_id, layer) + 1)
    return Computed(whole, audit(whole), incremental=False)


_COMPUTE: Final[Mapping[Layer, Callable[..., Computed]]] = {
    "silver": compute_silver,
    "gold": _compute_gold,
    "kpis": _compute_kpis,
    "prices": _compute_prices,
    "bars": _compute_bars,
}


def _followed(lake: Lake, gold: PublicationRecord, settings: MiningSettings) -> Followed | None:
    """Give what gold is followed from, at the silver publication that it was computed from; None if not known."""
    name = gold.reads["silver"]
    known = lake.followed.get(gold.log_id)
    silver = lake.moment(name).pinned[gold.log_id, "silver"]
    if known is not None and known.settings == settings and known.silver.number <= silver.number:
        if known.silver.publication_id == name:
            return known
        # Another process went on with this log; what it made of it is published already.
        found = _next(lake, known, silver)
        if found is not None:
            lake.followed[gold.log_id] = found[0]
            return found[0]
    lake.followed.pop(gold.log_id, None)
    try:
        traces = lake.traces(gold.log_id, name)
        events = lake.read("ocel.events", gold.log_id, as_of=name, columns=_EVENT)
    except NotFound:  # it has expired: nothing to follow from
        return None
    sequence = events.sort("time", "sequence", "event_id")["sequence"].to_numpy()
    lake.followed[gold.log_id] = Followed(silver, settings, gold_state(traces, sequence, settings))
    return lake.followed[gold.log_id]


def _next(lake: Lake, followed: Followed, silver: PublicationRecord) -> tuple[Followed, Mapping[str, Content]] | None:
    """Follow a log to a silver publication; None where that cannot be done."""
    try:
        change = _log_change(lake, followed.silver, silver)
    except NotFound:
        return None
    names = attribute_names(followed.settings)
    state, tables = follow_gold(
        followed.state,
        change,
        followed.settings,
        attributes=named_attributes(lake, silver, "ocel.event_attributes", names),
        rows=silver.rows,
        quarantined=silver.rows["silver.quarantine"],
        publication_id=silver.publication_id,
    )
    return Followed(silver, followed.settings, state), tables


def _log_change(lake: Lake, before: PublicationRecord, after: PublicationRecord) -> LogChange:
    """Read what went from a log and what came to it between two silver publications."""
    log_id, since, until = after.log_id, lake.moment(before.publication_id), lake.moment(after.publication_id)
    things = []
    for table, columns in (("ocel.events", _EVENT), ("ocel.objects", _OBJECT)):
        went, came = (frame.select(columns) for frame in lake.changes(table, log_id, since=since, until=until))
        things += [went.join(came, on=columns, how="anti"), came.join(went, on=columns, how="anti")]
    events_went, events_came, objects_went, objects_came = things
    went, came = (
        frame.select(_RELATION).unique()
        for frame in lake.changes("ocel.event_objects", log_id, since=since, until=until)
    )
    if len(went):
        # A relation has gone with its event, its object, or where no qualifier of it is left.
        rows = lake.scan("ocel.event_objects", log_id, as_of=until, columns=_RELATION)
        there = rows.filter(pl.col("event_id").is_in(went["event_id"].unique().implode())).collect()
        moved = pl.concat(
            [went.join(events_went, on="event_id", how="semi"), went.join(objects_went, on="object_id", how="semi")]
        )
        went = pl.concat([moved, went.join(there, on=_RELATION, how="anti")]).unique()
    return LogChange(events_went, events_came, objects_went, objects_came, went, came)

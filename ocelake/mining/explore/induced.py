"""The sub-log that some events, objects and relations induce: what every other operation on logs is defined from."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import polars as pl

from ocelake.ocel.model import Ocel

__all__ = ["Orphans", "induced_log"]

Orphans: TypeAlias = Literal["drop", "keep"]
"""What becomes of an event that loses all its objects, and of an object that loses all its events."""

_PAIR = ("event_id", "object_id")


def induced_log(
    ocel: Ocel,
    *,
    events: pl.DataFrame | None = None,
    objects: pl.DataFrame | None = None,
    event_objects: pl.DataFrame | None = None,
    orphans: Orphans = "drop",
) -> Ocel:
    """Keep some events, objects and relations of a log, and in every other table what belongs to them.

    Kept are the E2O relations with both ends, the O2O relations with both ends, and the attribute values of what is
    kept, an object's whole history included. Declarations of types stay, as a log may declare a type that it does not
    use. Rows keep their order, so each table of the result is sorted as the table it comes from.

    Parameters
    ----------
    ocel : Ocel
        The log.
    events, objects, event_objects : DataFrame, optional
        What to keep, by id: of ``event_objects`` the columns event_id and object_id. Default: all.
    orphans : {"drop", "keep"}
        Whether events that lose all their objects, and objects that lose all their events, go as well. Those that had
        none in the log before are no orphans, and stay.

    Returns
    -------
    Ocel
        A log of its own: nothing in it refers to what is not in it.

    Notes
    -----
    Dropping an orphan takes no relation away, so that nothing else becomes an orphan. Hence restrictions of this kind,
    one after the other in any order, give the same log.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(100, seed=1)
    >>> part = induced_log(log, objects=log.objects.filter(object_type="orders"))
    >>> part.event_objects["object_type"].unique().to_list()
    ['orders']
    >>> part.events.height < log.events.height
    True
    """
    relations = ocel.event_objects
    if event_objects is not None:
        relations = _among(relations, event_objects, _PAIR)
    if events is not None:
        relations = _among(relations, events, ("event_id",))
    if objects is not None:
        relations = _among(relations, objects, ("object_id",))
    kept_events = _kept(ocel.events, events, ocel.event_objects, relations, "event_id", orphans)
    kept_objects = _kept(ocel.objects, objects, ocel.event_objects, relations, "object_id", orphans)
    o2o = ocel.object_objects
    for end in ("source_id", "target_id"):
        o2o = _among(o2o, kept_objects.select(pl.col("object_id").alias(end)), (end,))
    return replace(
        ocel,
        events=kept_events,
        objects=kept_objects,
        event_objects=relations,
        object_objects=o2o,
        event_attributes=_among(ocel.event_attributes, kept_events, ("event_id",)),
        object_attributes=_among(ocel.object_attributes, kept_objects, ("object_id",)),
    )


def _kept(
    all_of: pl.DataFrame,
    chosen: pl.DataFrame | None,
    before: pl.DataFrame,
    after: pl.DataFrame,
    name: str,
    orphans: Orphans,
) -> pl.DataFrame:
    """Give the events or objects that are chosen and, where orphans are dropped, have not lost all relations."""
    kept = all_of if chosen is None else _among(all_of, chosen, (name,))
    if orphans == "keep" or after.height == before.height:
        return kept
    alone = kept.join(after, on=name, how="anti")
    lost = alone.join(before, on=name, how="semi")
    return kept.join(lost, on=name, how="anti", maintain_order="left") if lost.height else kept


def _among(frame: pl.DataFrame, ids: pl.DataFrame, on: tuple[str, ...]) -> pl.DataFrame:
    return frame.join(ids, on=on, how="semi", maintain_order="left")

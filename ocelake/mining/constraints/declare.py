"""Arcs of OC-DECLARE, as r4pm and the authors' editor write them in JSON, and rules: the same thing said twice.

References
----------
Küsters, van der Aalst: OC-DECLARE: Discovering Object-Centric Declarative Patterns with Synchronization (BPM 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ocelake.errors import OcelakeError
from ocelake.mining.constraints.language import Count, EventEvents, Linked

__all__ = ["read_arc", "write_arc"]

_ORDERS: Final = {
    "AS": "any",
    "EF": "after",
    "EP": "before",
    "DF": "directly after",
    "DP": "directly before",
}
_TYPES: Final = {order: kind for kind, order in _ORDERS.items()}
_INVOLVEMENTS: Final = ("each", "all", "any")


def read_arc(arc: Mapping[str, Any], name: str) -> EventEvents:
    """Make a rule of an arc.

    Parameters
    ----------
    arc : mapping
        from, to, arc_type, counts (least and most), label (each, all, any: lists of types).

    Raises
    ------
    OcelakeError
        Where the arc starts or ends at the begin or end of objects (``<init>``, ``<exit>``), which `ObjectEnds` is for.

    Examples
    --------
    >>> label = {"each": [{"type": "Simple", "object_type": "orders"}], "all": [], "any": []}
    >>> arc = {"from": "place", "to": "pay", "arc_type": "EF", "counts": [1, None], "label": label}
    >>> read_arc(arc, "paid").each
    ('orders',)
    """
    if any(str(arc[end]).startswith(("<init>", "<exit>")) for end in ("from", "to")):
        raise OcelakeError(
            f"The arc from {arc['from']!r} to {arc['to']!r} is about the begin or end of objects.",
            fix="Write a rule with for_each and starts_with or ends_with.",
        )
    least, most = arc["counts"]
    said = {
        "name": name,
        "description": f"{arc['arc_type']}({arc['from']}, {arc['to']})",
        "when": arc["from"],
        "then": arc["to"],
        "order": _ORDERS[arc["arc_type"]],
        "count": Count(at_least=least or 0, at_most=most),
    }
    involved = {key: tuple(_read_type(item) for item in arc["label"].get(key, ())) for key in _INVOLVEMENTS}
    return EventEvents.model_validate(said | involved)


def write_arc(rule: EventEvents) -> dict[str, Any]:
    """Make an arc of a rule.

    Raises
    ------
    OcelakeError
        Where the rule says more than an arc can: times, conditions, several activities, qualifiers.

    Examples
    --------
    >>> write_arc(EventEvents(name="paid", when="place", then="pay", each="orders"))["arc_type"]
    'EF'
    """
    more = [name for name in ("within", "not_within") if getattr(rule, name) is not None]
    for end in ("when", "then"):
        selection = getattr(rule, end)
        if selection.where or selection.involving or len(selection.activity) > 1:
            more.append(end)
    label = {}
    for key in _INVOLVEMENTS:
        items = getattr(rule, key)
        label[key] = [_write_type(item) for item in items]
        if any(isinstance(item, Linked) and (item.o2o is not None or item.direction is None) for item in items):
            more.append(key)
    if more:
        raise OcelakeError(
            "An arc of OC-DECLARE cannot say all that the rule says.",
            where=f"rule {rule.name}: {', '.join(more)}",
            fix="Arcs have one activity at each end, object types, an order and a count.",
        )
    return {
        "from": rule.when.activity[0],
        "to": rule.then.activity[0],
        "arc_type": _TYPES[rule.order],
        "counts": [rule.count.at_least, rule.count.at_most],
        "label": label,
    }


def _read_type(item: Mapping[str, Any]) -> str | Linked:
    if item["type"] == "Simple":
        return str(item["object_type"])
    return Linked(type=item["second"], of=item["first"], direction="backward" if item.get("reversed") else "forward")


def _write_type(item: str | Linked) -> dict[str, Any]:
    if isinstance(item, str):
        return {"type": "Simple", "object_type": item}
    return {"type": "O2O", "first": item.of, "second": item.type, "reversed": item.direction == "backward"}

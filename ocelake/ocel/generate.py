"""A seeded order-to-cash log, for the demo, the benchmarks and tests.

`generate` gives a clean one (`ocelake.ocel.order_to_cash` says what happens in it), `write_demo_log` a file with
records that are wrong on purpose, so that a first look at the lake is also a look at its quarantine.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from ocelake.errors import SettingError
from ocelake.ocel.json_writer import write_json
from ocelake.ocel.layout import appearing
from ocelake.ocel.model import Ocel
from ocelake.ocel.order_to_cash import PERMANENT, simulate
from ocelake.ocel.reasons import Reason

__all__ = ["generate", "write_demo_log"]

_EVENTS_PER_ORDER: Final = 13.0

_EVENTS: Final = '"events":['
_OBJECTS: Final = '"objects":['
_UNDECLARED: Final = {"objectId": "employee-temp", "qualifier": "helper"}

# Whole records that no log should hold, and why each is not accepted.
_BAD_EVENTS: Final[tuple[tuple[object, Reason], ...]] = (
    ({"id": "no-time-1", "type": "pick item", "relationships": [_UNDECLARED]}, Reason.MISSING_TIME),
    ({"id": "no-time-2", "type": "pay order", "time": ""}, Reason.MISSING_TIME),
    ({"id": "feb-30", "type": "pay order", "time": "2024-02-30T09:00:00Z"}, Reason.INVALID_TIME),
    ({"id": "soon", "type": "pay order", "time": "next Tuesday"}, Reason.INVALID_TIME),
    ({"type": "pick item", "time": "2023-05-02T09:30:00Z"}, Reason.MISSING_ID),
    ({"id": "no-type", "time": "2023-05-02T09:30:00Z"}, Reason.MISSING_TYPE),
    ("line lost in transfer", Reason.MALFORMED),
)
_BAD_OBJECTS: Final[tuple[tuple[object, Reason], ...]] = (
    ({"type": "packages"}, Reason.MISSING_ID),
    ({"id": "parcel-without-type"}, Reason.MISSING_TYPE),
    (None, Reason.MALFORMED),
)
_LINES_OF: Final = {"copied": 4, "changed": 3, "undeclared": 5}


def generate(events: int, seed: int) -> Ocel:
    """Simulate an order-to-cash process and log it.

    Parameters
    ----------
    events : int
        Number of events, at least 1. The log is cut after the last of them: cases that still run stay incomplete.
    seed : int
        Equal seeds give equal logs, to the byte when written.

    Returns
    -------
    Ocel
        Six object types; about 0.5 objects, 4.5 E2O relations, 1 O2O relation and 0.27 changes of attribute values per
        event. Some objects have no event, some (event, object) pairs several qualifiers, some events equal times;
        event ids are in the order in which things happen.

    Raises
    ------
    SettingError
        Where fewer than one event is asked for, or the seed is negative.

    Examples
    --------
    >>> generate(1_000, seed=1).events.height
    1000
    """
    if events < 1 or seed < 0:
        raise SettingError(
            f"A log of {events} events with seed {seed} cannot be generated.",
            fix="Ask for at least one event, with a seed of 0 or more.",
        )
    orders = int(events / _EVENTS_PER_ORDER * 1.05) + 5
    while True:
        simulation = simulate(orders, seed)
        if simulation.size >= events:
            return simulation.cut(events, PERMANENT)
        orders = orders * 5 // 4 + 1


def write_demo_log(path: str | os.PathLike[str], events: int, seed: int) -> dict[str, int]:
    """Write a generated log as OCEL 2.0 JSON, with a few bad records.

    Added are events without a time, with an impossible one, without id or type; objects without id or type; things that
    are no records; exact copies of events, and copies that say something else; relations to an object that nothing
    declares; a value that is null.

    Parameters
    ----------
    path : path-like
        The file, whatever its name.
    events, seed : int
        As for `generate`.

    Returns
    -------
    dict of str to int
        Reason code to the number of rows that ``silver.quarantine`` will have for it: a record counts with its
        relations and values.

    Raises
    ------
    SettingError
        Where such a log cannot be generated.
    ExportRefused
        Where the file cannot be written.
    """
    target = Path(path)
    ocel = generate(events, seed)
    chosen = np.random.default_rng(seed).permutation(events)
    bounds = np.cumsum([0, *_LINES_OF.values()])
    role = {
        int(number): name
        for name, first, end in zip(_LINES_OF, bounds, bounds[1:], strict=False)
        for number in chosen[first:end]
    }
    expected: Counter[str] = Counter()
    with appearing(target) as part:
        clean = part.with_suffix(".clean")
        try:
            write_json(ocel, clean)
            with clean.open("rb") as source, part.open("wb") as stream:
                stream.writelines(_spoil(source, role, expected))
        finally:
            clean.unlink(missing_ok=True)
    return {str(reason): count for reason, count in sorted(expected.items())}


def _spoil(lines: Iterable[bytes], role: Mapping[int, str], expected: Counter[str]) -> Iterable[bytes]:
    """Pass the lines of a log on, one record each, with bad records among them; count what is wrong."""
    number = -1
    for line in lines:
        yield line
        if line.rstrip().endswith(_EVENTS.encode()):
            yield from _bad_lines(_BAD_EVENTS, expected)
            number = 0
            break
    for line in lines:
        if number not in role or not line.startswith(b"{"):
            yield line
        else:
            yield from _bad_copies(line, role[number], expected)
        number += 1
        if line.rstrip().endswith(_OBJECTS.encode()):
            yield from _bad_lines(_BAD_OBJECTS, expected)
            null = {"name": "status", "time": "2023-05-02T09:30:00Z", "value": None}
            yield _line({"id": "order-void", "type": "orders", "attributes": [null]})
            expected[Reason.NULL_VALUE] += 1


def _bad_lines(records: Iterable[tuple[object, Reason]], expected: Counter[str]) -> Iterable[bytes]:
    for record, why in records:
        expected[why] += _things(record)
        yield _line(record)


def _bad_copies(line: bytes, role: str, expected: Counter[str]) -> Iterable[bytes]:
    """Give an event's line, and what is wrong about it."""
    record: dict[str, Any] = orjson.loads(line.rstrip().removesuffix(b","))
    if role == "undeclared":
        expected[Reason.UNDECLARED_OBJECT] += 1
        record["relationships"].append(_UNDECLARED)
        yield _line(record, like=line)
        return
    # Of two different copies the one with the greater hash is kept: either loses as many things.
    expected[Reason.DUPLICATE if role == "copied" else Reason.SUPERSEDED] += _things(record)
    yield _line(record)
    if role == "changed":
        record["time"] = record["time"].replace("Z", ".5Z")
    yield _line(record, like=line)


def _things(record: object) -> int:
    """Count a record with its relations and values."""
    if not isinstance(record, dict):
        return 1
    return 1 + len(record.get("relationships", ())) + len(record.get("attributes", ()))


def _line(record: object, like: bytes = b",\n") -> bytes:
    """Write a record as a line; ``like`` the line whose place it takes, the last of its list has no comma."""
    return orjson.dumps(record) + (b",\n" if like.rstrip().endswith(b",") else b"\n")

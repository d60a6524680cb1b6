"""From messages to price ticks: each message is one JSON object, or stays what it is.

``{"commodity", "time", "price"}`` and, where it is known, ``volume``, ``currency``, ``unit`` and a whole ``version``.
What a value says is kept as it is written; whether it is a price is `ocelake.ticks`' matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ocelake.stream.decode import raw_text
from ocelake.tables import frame_schema
from ocelake.ticks import CONTENT

__all__ = ["Ticks", "decode_ticks"]

_WHOLE: Final = re.compile("[0-9]{1,18}")
_SCHEMA: Final = {name: dtype for name, dtype in frame_schema("bronze.price_ticks").items() if name != "batch_id"}


def decode_ticks(positions: Sequence[int], values: Sequence[bytes | None]) -> Ticks:
    """Decode messages, as a `ocelake.stream.decode.Decoder`.

    Examples
    --------
    >>> ticks = decode_ticks([0, 1], [b'{"commodity": "gold", "price": 1923.40}', b"gold"]).ticks
    >>> ticks.select("commodity", "price", "defect", "raw").rows()
    [('gold', '1923.40', None, None), (None, None, 'malformed', 'gold')]
    """
    rows = [_tick(position, value) for position, value in zip(positions, values, strict=True)]
    return Ticks(pl.DataFrame(rows, schema=_SCHEMA))


@dataclass(frozen=True, slots=True)
class Ticks:
    """Messages as price ticks.

    Attributes
    ----------
    ticks : DataFrame
        `bronze.price_ticks` without the batch.
    """

    ticks: pl.DataFrame

    def tables(self) -> dict[str, pl.DataFrame]:
        """Give the rows by their table in bronze, without their batch."""
        return {"bronze.price_ticks": self.ticks}


def _tick(position: int, value: bytes | None) -> dict[str, Any]:
    """Read one message; its text is kept where the columns do not hold all that it says."""
    content = _content(value)
    if content is None:
        return {"position": position, "defect": "malformed", "raw": raw_text(value)}
    row: dict[str, Any] = {name: content[name] for name in CONTENT if isinstance(content.get(name), str)}
    version = content.get("version")
    if isinstance(version, str) and _WHOLE.fullmatch(version):
        row["version"] = int(version)
    told = all(said is None or name in row for name, said in content.items())
    return {"position": position, **row, "raw": None if told else raw_text(value)}


def _content(value: bytes | None) -> dict[str, Any] | None:
    """Read a JSON object whose numbers stay as they are written; None where it is none."""
    try:
        content = json.loads((value or b"").decode(), parse_float=str, parse_int=str, parse_constant=str)
        "".join(said for said in content.values() if isinstance(said, str)).encode()  # no half of a surrogate pair
    except (ValueError, RecursionError, AttributeError):
        return None
    return content  # type: ignore[no-any-return]  # what has values is a dict

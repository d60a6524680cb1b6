"""Why something that was read is not in the log: one code per row of ``silver.quarantine`` (or of ticks' own)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import polars as pl

__all__ = ["REASON", "REASONS", "Reason"]


class Reason(StrEnum):
    """A reason code. What belongs to a quarantined record (its relations, its values) carries the record's reason."""

    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    MISSING_ID = "missing_id"
    MISSING_TYPE = "missing_type"
    MISSING_TIME = "missing_time"
    MISSING_NAME = "missing_name"
    INVALID_TIME = "invalid_time"
    NONEXISTENT_TIME = "nonexistent_time"
    NULL_VALUE = "null_value"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    UNDECLARED_EVENT = "undeclared_event"
    UNDECLARED_OBJECT = "undeclared_object"
    MISSING_COMMODITY = "missing_commodity"
    MISSING_PRICE = "missing_price"
    INVALID_PRICE = "invalid_price"
    INVALID_VOLUME = "invalid_volume"


REASONS: Final[Mapping[Reason, str]] = {
    Reason.MALFORMED: "The record cannot be taken apart.",
    Reason.TRUNCATED: "The source ends in the middle of the record.",
    Reason.MISSING_ID: "It has no id, or relates to none.",
    Reason.MISSING_TYPE: "It has no type.",
    Reason.MISSING_TIME: "It has no time.",
    Reason.MISSING_NAME: "The value has no attribute name.",
    Reason.INVALID_TIME: "The time cannot be read.",
    Reason.NONEXISTENT_TIME: "The local time was skipped by a change of the clocks in the log's zone.",
    Reason.NULL_VALUE: "The value is null.",
    Reason.DUPLICATE: "An equal one is kept.",
    Reason.SUPERSEDED: "Another record with this id has a greater version.",
    Reason.UNDECLARED_EVENT: "The event is not declared; this waits until a batch declares it.",
    Reason.UNDECLARED_OBJECT: "The object is not declared; this waits until a batch declares it (or see `infer`).",
    Reason.MISSING_COMMODITY: "The tick does not say what is priced.",
    Reason.MISSING_PRICE: "The tick has no price.",
    Reason.INVALID_PRICE: "The price is no finite number.",
    Reason.INVALID_VOLUME: "The volume is no finite number from 0.",
}
"""What each code means, for a person."""

REASON: Final = pl.Enum([reason.value for reason in Reason])
"""The reason codes, as a column's type."""

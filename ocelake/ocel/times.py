"""From the text of a time to an instant, a whole column at once.

Understood are ISO 8601 dates and times (``T`` or a space between, seconds and fraction optional, ``Z``, ``UTC``, an
offset or no zone at all), what JavaScript prints for a date (``Mon May 22 2023 13:54:42 GMT+0200 (CEST)``), and HTTP's
form of it; all of them mixed in one column, with or without blanks around. A number of seconds since 1970 is not told
from any other number, and so is no time. Which columns hold times, and what follows from a bad one, is
`ocelake.ocel.conform`'s matter.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from ocelake.ocel.reasons import Reason
from ocelake.tables import TIMESTAMP

__all__ = ["AMBIGUOUS", "EPOCH", "format_times", "parse_times"]

AMBIGUOUS: Final = "ambiguous"
"""Flag of a local time that occurred twice; the first occurrence is taken."""

EPOCH: Final = "epoch"
"""Flag of 1970-01-01T00:00:00, as an instant or as a clock without a zone shows it: OCEL's "from the start"."""

_CLOCK: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-5][0-9]:[0-5][0-9]"
_TAIL: Final = (
    r"^(?:[.,](?P<fraction>[0-9]+))? *"
    r"(?:(?P<utc>[Zz]|UTC|GMT)|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3])"
    r"(?::?(?P<minutes>[0-5][0-9])(?::?(?P<seconds>[0-5][0-9]))?)?)?\s*$"
)
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MINUTES: Final = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})([^:0-9.,].*)?$"
_LOWER_T: Final = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})t([0-9]{2}:.*)$"
_JAVASCRIPT: Final = (
    r"^[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[0-9]{1,2}) (?P<year>[0-9]{4}) (?P<clock>[0-9:]{8})"
    r"(?: (?P<utc>GMT|UTC)?(?P<offset>[+-][0-9]{4})?)?(?: \(.*\))?$"
)
_HTTP: Final = (
    r"^[A-Z][a-z]{2}, (?P<day>[0-9]{1,2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) (?P<clock>[0-9:]{8})"
    r" (?:(?P<utc>GMT|UTC|Z)|(?P<offset>[+-][0-9]{4}))$"
)
_MONTHS: Final = {
    name: f"{number:02}"
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_EPOCH: Final = datetime(1970, 1, 1)
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
# Polars knows each zone's changes up to here; Python's own zone data goes on by rule.
_RULES_FROM: Final = datetime(2099, 1, 1)
_LOCAL: Final = pl.Datetime("us")


def parse_times(text: pl.Series, zone: str = "UTC") -> pl.DataFrame:
    """Read a column of times.

    Parameters
    ----------
    text : Series of String
        Times as written, in any mix of the forms that this module's docstring names.
    zone : str
        IANA name of the zone of the times that have none.

    Returns
    -------
    DataFrame
        As long as `text`: ``time``, UTC microseconds, finer digits cut off, null where there is none; and ``flag``,
        null for a plain time, else `EPOCH` or `AMBIGUOUS` (with a time), or ``missing_time``, ``invalid_time`` or
        ``nonexistent_time`` (without). Instants before year 1 or after year 9999 are invalid: no database takes them.

    Examples
    --------
    >>> parse_times(pl.Series(["2023-05-22 13:54:42", "soon"]), "Europe/Berlin").rows()
    [(datetime.datetime(2023, 5, 22, 11, 54, 42, tzinfo=zoneinfo.ZoneInfo(key='UTC')), None), (None, 'invalid_time')]
    """
    written = _rewrite_odd(text.cast(pl.String).alias("text"))
    parts = pl.DataFrame(
        {
            "clock": _read_clock(written.str.slice(0, 19)),
            "tail": written.str.slice(19).str.extract_groups(_TAIL),
        }
    ).unnest("tail")
    naive = pl.col("sign").is_null() & pl.col("utc").is_null()
    number = {name: pl.col(name).cast(pl.Int64).fill_null(0) for name in ("hours", "minutes", "seconds")}
    offset = number["hours"] * 3600 + number["minutes"] * 60 + number["seconds"]
    micros = pl.col("fraction").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64).fill_null(0)
    frame = parts.select(
        local=pl.col("clock") + pl.duration(microseconds=micros),
        naive=naive,
        offset=pl.when(pl.col("sign") == "-").then(-offset).otherwise(offset),
    ).with_columns(tail_read=written.str.slice(19).str.contains(_TAIL))
    frame = frame.with_columns(local=pl.when("tail_read").then("local"))
    instant = (pl.col("local") - pl.duration(seconds="offset")).dt.replace_time_zone("UTC")
    frame = frame.with_columns(time=instant.cast(TIMESTAMP), ambiguous=pl.lit(False), nonexistent=pl.lit(False))
    if zone not in ("UTC", "Etc/UTC"):
        frame = _place_naive(frame, zone)
    time = pl.col("time")
    epoch = pl.when("naive").then(pl.col("local") == _EPOCH).otherwise(time.dt.epoch("us") == 0)
    return frame.with_columns(text=text, time=pl.when(time.is_between(_FIRST, _LAST)).then(time)).select(
        "time",
        flag=pl.when(pl.col("text").str.strip_chars().fill_null("") == "")
        .then(pl.lit(Reason.MISSING_TIME))
        .when("nonexistent")
        .then(pl.lit(Reason.NONEXISTENT_TIME))
        .when(time.is_null())
        .then(pl.lit(Reason.INVALID_TIME))
        .when("ambiguous")
        .then(pl.lit(AMBIGUOUS))
        .when(epoch)
        .then(pl.lit(EPOCH)),
    )


def format_times(time: pl.Expr) -> pl.Expr:
    """Give the canonical text of instants: ``YYYY-MM-DDTHH:MM:SS[.ffffff]Z``, with a fraction only if it is not 0."""
    return (
        pl.when(time.dt.microsecond() == 0)
        .then(time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        .otherwise(time.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    )


def _read_clock(clock: pl.Series) -> pl.Series:
    """Read the first 19 characters; null where they are no date and time."""
    shaped = clock.set(~clock.str.contains(_CLOCK), None)
    local = shaped.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us")
    if local.null_count() > shaped.null_count():
        local = local.fill_null(shaped.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"))
    return local.set(local < datetime.min, None)


def _rewrite_odd(text: pl.Series) -> pl.Series:
    """Bring the other forms to that of ``2023-05-22T13:54:42+0200``; what is none of them stays as it is."""
    odd = text.filter(~text.str.contains(_CLOCK)).unique()
    if odd.is_empty():
        return text
    written = pl.col("text").str.strip_chars()
    known = (
        odd.to_frame("text")
        .with_columns(
            iso=pl.coalesce(
                pl.when(written.str.contains(_CLOCK)).then(written),
                pl.when(written.str.contains(_DATE)).then(written + "T00:00:00"),
                pl.when(written.str.contains(_MINUTES)).then(written.str.replace(_MINUTES, "${1}T${2}:00${3}")),
                pl.when(written.str.contains(_LOWER_T)).then(written.str.replace(_LOWER_T, "${1}T${2}")),
                _spelled_out(written.str.extract_groups(_JAVASCRIPT)),
                _spelled_out(written.str.extract_groups(_HTTP)),
            )
        )
        .drop_nulls()
    )
    return text.replace(known["text"], known["iso"]) if len(known) else text


def _spelled_out(groups: pl.Expr) -> pl.Expr:
    """Put the parts of a date with a month's name in ISO order; null where there are none."""
    field = groups.struct.field
    return pl.concat_str(
        field("year"),
        pl.lit("-"),
        field("month").replace_strict(_MONTHS, default=None, return_dtype=pl.String),
        pl.lit("-"),
        field("day").str.zfill(2),
        pl.lit("T"),
        field("clock"),
        pl.coalesce(field("offset"), pl.when(field("utc").is_not_null()).then(pl.lit("Z")), pl.lit("")),
    )


def _place_naive(frame: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Read the times without a zone in `zone`."""
    local = frame["local"].set(~frame["naive"], None)
    early = local.set(local >= _RULES_FROM, None)
    try:
        first = early.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        last = early.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    except pl.exceptions.ComputeError:  # a zone that only Python knows, such as "localtime"
        first = last = pl.Series("local", [None], dtype=TIMESTAMP).new_from_index(0, len(early))
        early = first.dt.replace_time_zone(None)
    placed = frame.select(
        "local",
        "naive",
        time=first.dt.convert_time_zone("UTC"),
        ambiguous=(first != last).fill_null(False),
        nonexistent=early.is_not_null() & first.is_null(),
    )
    late = local.filter(local.is_not_null() & early.is_null()).unique()
    if len(late):
        by_rule = pl.DataFrame(
            [(value, *_place(value, ZoneInfo(zone))) for value in late],
            schema={
                "local": _LOCAL,
                "rule_time": TIMESTAMP,
                "rule_ambiguous": pl.Boolean,
                "rule_nonexistent": pl.Boolean,
            },
            orient="row",
        )
        by_rule = placed.join(by_rule, on="local", how="left", maintain_order="left")
        placed = by_rule.with_columns(
            time=pl.coalesce("rule_time", "time"),
            ambiguous=pl.coalesce("rule_ambiguous", "ambiguous"),
            nonexistent=pl.coalesce("rule_nonexistent", "nonexistent"),
        )
    return frame.with_columns(
        pl.when("naive").then(placed[name]).otherwise(name).alias(name) for name in ("time", "ambiguous", "nonexistent")
    )


def _place(local: datetime, zone: ZoneInfo) -> tuple[datetime | None, bool, bool]:
    """Read one clock time in a zone: the instant of its first occurrence, whether it is ambiguous, or nonexistent."""
    try:
        first = local.replace(tzinfo=zone).astimezone(UTC)
        last = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
        back = first.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return None, False, False
    if back != local:
        return None, False, True
    return first, first != last, False

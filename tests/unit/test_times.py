"""Times: every form that logs are known to write, against Python's own reading of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.ocel.times import AMBIGUOUS, EPOCH, format_times, parse_times
from ocelake.tables import TIMESTAMP

AT = datetime(2023, 5, 22, 13, 54, 42, tzinfo=UTC)


def read(text: str | None, zone: str = "UTC") -> tuple[datetime | None, str | None]:
    time, flag = parse_times(pl.Series([text], dtype=pl.String), zone).row(0)
    return time, flag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-05-22T13:54:42Z", AT),
        ("2023-05-22T13:54:42z", AT),
        ("2023-05-22t13:54:42z", AT),
        ("2023-05-22 13:54:42", AT),
        ("  2023-05-22 13:54:42\n", AT),
        ("2023-05-22T13:54:42\n", AT),
        ("2023-05-22T13:54:42Z ", AT),
        ("2023-05-22T13:54:42Z\n", AT),
        ("2023-05-22T15:54:42.0+02:00\u00a0\t", AT),
        ("2023-05-22 13:54:42 UTC\r\n", AT),
        (" 2023-05-22T13:54Z\n", AT.replace(second=0)),
        ("2023-05-22T13:54:42+00:00", AT),
        ("2023-05-22T13:54:42-00:00", AT),
        ("2023-05-22T15:54:42+02:00", AT),
        ("2023-05-22T15:54:42+0200", AT),
        ("2023-05-22 15:54:42+02", AT),
        ("2023-05-22 15:54:42 +0200", AT),
        ("2023-05-22 13:54:42 UTC", AT),
        ("2023-05-22T14:48:10+00:53:28", AT),
        ("2023-05-22T13:54:42.1Z", AT.replace(microsecond=100000)),
        ("2023-05-22T13:54:42,25Z", AT.replace(microsecond=250000)),
        ("2023-05-22T13:54:42.123456789Z", AT.replace(microsecond=123456)),
        ("2023-05-22T13:54:42.99999999999999Z", AT.replace(microsecond=999999)),
        ("2023-05-22T13:54", AT.replace(second=0)),
        ("2023-05-22 13:54Z", AT.replace(second=0)),
        ("2023-05-22T15:54+02:00", AT.replace(second=0)),
        ("2023-05-22", datetime(2023, 5, 22, tzinfo=UTC)),
        ("Mon May 22 2023 15:54:42 GMT+0200 (Central European Summer Time)", AT),
        ("Mon May 22 2023 13:54:42 GMT", AT),
        ("Mon May 22 2023 13:54:42", AT),
        ("Mon, 22 May 2023 13:54:42 GMT", AT),
        ("Mon, 22 May 2023 15:54:42 +0200", AT),
        ("1969-12-31T23:59:59.9999999Z", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("1582-10-15T00:00:00Z", datetime(1582, 10, 15, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_written_form_is_read(text: str, expected: datetime) -> None:
    assert read(text) == (expected, None)


@pytest.mark.parametrize(
    "text",
    [
        "soon", "0", "null", "1684763682", "1684763682000", "1684763682.5", "24:00", "00000000", "2023", "2023-05",
        "2023-02-30", "2023-13-01T00:00:00Z", "2023-05-22T24:00:00Z", "2016-12-31T23:59:60Z", "2023-05-22T13:60:00Z",
        "2023-05-22T13:54:42+24:00", "2023-05-22T13:54:42+02:60", "2023-05-22T13:54:42 CEST", "2023-05-22T13:54:42.Z",
        "2023-5-22T13:54:42Z", "22.05.2023 13:54", "05/22/2023", "2023-05-22T13", "2023-05-22T13:54:42Zx",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "12023-05-22T13:54:42Z",
        "Mon Foo 22 2023 13:54:42 GMT+0200", "Mon May 32 2023 13:54:42 GMT+0200", "٢٠٢٣-٠٥-٢٢T13:54:42Z",
    ],
)  # fmt: skip
def test_anything_else_is_invalid(text: str) -> None:
    assert read(text) == (None, "invalid_time")


@pytest.mark.parametrize("text", [None, "", " ", "\t\n"])
def test_blank_is_missing(text: str | None) -> None:
    assert read(text) == (None, "missing_time")


@pytest.mark.parametrize(
    ("text", "zone", "flag"),
    [
        ("1970-01-01T00:00:00Z", "UTC", EPOCH),
        ("1970-01-01 00:00:00.000", "UTC", EPOCH),
        ("1970-01-01", "Europe/Berlin", EPOCH),
        ("1970-01-01T01:00:00+01:00", "Asia/Tokyo", EPOCH),
        ("1970-01-01T00:00:00+01:00", "UTC", None),
        ("1970-01-01T00:00:00.000001Z", "UTC", None),
    ],
)
def test_the_epoch_is_flagged_as_an_instant_and_on_a_clock_without_a_zone(
    text: str, zone: str, flag: str | None
) -> None:
    assert read(text, zone)[1] == flag


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Pacific/Apia",
]


def by_zoneinfo(local: datetime, zone: str) -> tuple[datetime | None, str | None]:
    """Read a clock in a zone with Python's zone data."""
    first = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    second = local.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)
    if first.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local:
        return None, "nonexistent_time"
    if first != second:
        return first, AMBIGUOUS
    return first, EPOCH if local == datetime(1970, 1, 1) else None


@pytest.mark.parametrize("zone", ZONES)
def test_a_clock_is_read_in_its_zone(zone: str) -> None:
    # Each half hour around every change of the clocks in years with and without rules of their own.
    clocks = [
        datetime(year, month, 1) + timedelta(minutes=30 * step)
        for year in (1919, 2011, 2018, 2098, 2150)
        for month in (2, 3, 4, 9, 10, 11, 12)
        for step in range(48 * 31)
    ]
    found = parse_times(pl.Series([clock.isoformat() for clock in clocks]), zone).rows()
    expected = [by_zoneinfo(clock, zone) for clock in clocks]
    assert found == expected
    assert zone == "Asia/Kolkata" or {flag for _, flag in expected} >= {None, "nonexistent_time", AMBIGUOUS}


def test_a_zone_that_only_python_knows_is_read_as_well() -> None:
    try:
        ZoneInfo("posixrules")
    except (KeyError, ValueError, OSError):
        pytest.skip("no zone here that Polars does not know")
    assert read("2023-07-01T12:00:00", "posixrules") == by_zoneinfo(datetime(2023, 7, 1, 12), "posixrules")


def test_forms_mix_in_one_column_and_rows_keep_their_place() -> None:
    forms = ["2023-05-22T13:54:42Z", "2023-05-22 13:54:42", None, "x", "2023-05-22", "Mon May 22 2023 13:54:42 GMT"]
    frame = parse_times(pl.Series(forms * 50), "UTC")
    assert frame.schema == {"time": TIMESTAMP, "flag": pl.String}
    midnight = AT.replace(hour=0, minute=0, second=0)
    assert frame["time"].to_list() == [AT, AT, None, None, midnight, AT] * 50
    assert frame["flag"].to_list() == [None, None, "missing_time", "invalid_time", None, None] * 50


def test_an_empty_column_gives_an_empty_frame() -> None:
    assert parse_times(pl.Series([], dtype=pl.String), "Europe/Berlin").schema == {"time": TIMESTAMP, "flag": pl.String}


@settings(max_examples=60)
@given(
    st.lists(
        st.datetimes(
            min_value=datetime(2, 1, 1),
            max_value=datetime(9998, 1, 1),
            timezones=st.none()
            | st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes))),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["T", " "]),
)
def test_what_python_writes_is_read_as_python_reads_it(times: list[datetime], separator: str) -> None:
    text = [time.isoformat(sep=separator) for time in times]
    frame = parse_times(pl.Series(text), "UTC")
    expected = [
        (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
        for time in map(datetime.fromisoformat, text)
    ]
    assert frame["time"].to_list() == expected
    again = frame.select(format_times(pl.col("time"))).to_series()
    assert parse_times(again)["time"].to_list() == expected


@settings(max_examples=60)
@given(st.lists(st.text(max_size=30) | st.from_regex(r"[0-9T:+ .Z-]{1,25}"), max_size=20))
def test_no_text_breaks_it(texts: list[str]) -> None:
    frame = parse_times(pl.Series(texts, dtype=pl.String), "Europe/Berlin")
    assert len(frame) == len(texts)
    assert (frame["time"].is_null() == frame["flag"].is_in(["missing_time", "invalid_time", "nonexistent_time"])).all()

"""Prices from a REST API into a topic: a day's rows, page by page, each of them one message.

The API answers ``GET <url>/v1/prices?date=2024-03-01&page=1`` with ``{"data": [row, ...], "next_page": 2 or null}``; a
row is ``{"commodity", "time", "price"}`` and, where it is known, ``volume``, ``currency`` and ``unit``. Every row is
sent as a message, bad ones as well: they end in quarantine with their text, where somebody can look at them.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
import requests
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from ocelake.errors import FeedRefused, NotFound, SettingError
from ocelake.resilience import Guard
from ocelake.settings import LogSettings, Resilience
from ocelake.stream.client import broker_guard, create_topic, partitions
from ocelake.stream.encode import Batch
from ocelake.stream.produce import produce
from ocelake.stream.settings import KafkaSettings
from ocelake.stream.ticks import decode_ticks
from ocelake.ticks import LOST, conform_ticks

__all__ = ["PARTITIONS", "TOPIC", "Extracted", "PriceApi", "PriceApiSettings", "extract_prices"]

TOPIC: Final = "commodity-prices"
PARTITIONS: Final = 3
"""Where the prices go; a commodity's are all in one partition, so that their offsets order them."""

_MOST_PAGES: Final = 10_000
_BUSY: Final = 429


class PriceApiSettings(BaseModel):
    """Where the API is, and how to be let in.

    Attributes
    ----------
    url : str
        Its address, without the path of the resource.
    key : SecretStr, optional
        Sent as the header ``X-Api-Key``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str
    key: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("the address of an API begins with http:// or https://")
        return url.rstrip("/")

    @classmethod
    def load(cls) -> PriceApiSettings:
        """Read ``COMMODITY_API_URL`` and ``COMMODITY_API_KEY``.

        Raises
        ------
        SettingError
            Where no address is set, or it is none.
        """
        url, key = (os.environ.get(name) for name in ("COMMODITY_API_URL", "COMMODITY_API_KEY"))
        try:
            return cls(url=url or "", key=SecretStr(key) if key else None)
        except ValueError as error:
            raise SettingError(
                "No API of prices is named." if not url else "The API's address is none.",
                where="COMMODITY_API_URL",
                fix="Set it to the API's address, such as https://prices.example.com.",
            ) from error


class PriceApi:
    """Reads prices from the API; calls are guarded (`ocelake.resilience`).

    Parameters
    ----------
    settings : PriceApiSettings
        Where it is.
    patience : Resilience
        How long it is tried, and how long one answer may take.
    """

    def __init__(self, settings: PriceApiSettings, patience: Resilience | None = None) -> None:
        self._settings, self._patience = settings, patience or Resilience.load()
        fix = "Check COMMODITY_API_URL, and that the API is up."
        self._guard = Guard("price API", settings.url, _may_pass, fix, self._patience)
        self._session = requests.Session()
        if settings.key is not None:
            self._session.headers["X-Api-Key"] = settings.key.get_secret_value()

    def rows(self, day: date) -> Iterator[Any]:
        """Give the rows of a day, as the API wrote them: numbers as text, with all their digits.

        Raises
        ------
        FeedRefused
            Where the API answers with what cannot be used.
        SettingError
            Where it does not know the key.
        Unreachable
            Where it does not answer, or with an error, for as long as it was tried.
        """
        page = 1
        for _ in range(_MOST_PAGES):
            content = self._guard.call(self._page, day, page)
            yield from content["data"]
            following = content.get("next_page")
            if following is None:
                return
            if following != str(page + 1):
                break
            page += 1
        raise self._refused(f"After page {page} of {day} it names page {following!r}")

    def _page(self, day: date, page: int) -> dict[str, Any]:
        answer = self._session.get(
            f"{self._settings.url}/v1/prices",
            params={"date": day.isoformat(), "page": str(page)},
            timeout=self._patience.call_seconds,
        )
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise SettingError("The API does not know the key.", where=self._settings.url, fix="Set COMMODITY_API_KEY.")
        if answer.status_code == _BUSY or answer.status_code >= requests.codes.server_error:
            answer.raise_for_status()
        if answer.status_code != requests.codes.ok:
            raise self._refused(f"It answers {answer.status_code} to page {page} of {day}")
        try:
            content = json.loads(answer.content, parse_float=str, parse_int=str, parse_constant=str)
        except ValueError as error:
            raise self._refused(f"Page {page} of {day} is no JSON") from error
        if not isinstance(content, dict) or not isinstance(content.get("data"), list):
            raise self._refused(f"Page {page} of {day} has no list of data")
        return content

    def _refused(self, what: str) -> FeedRefused:
        return FeedRefused(
            f"The API of prices is not as it should be: {what}.",
            where=self._settings.url,
            fix="Check that COMMODITY_API_URL is the right one, and whether the API has changed.",
        )


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came of a day.

    Attributes
    ----------
    day : date
        Which.
    messages : int
        Rows of the API, all of them now in the topic.
    bad : mapping of str to int
        How many of them are no prices, by reason.
    commodities : int
        How many things are priced.
    seconds : float
        Wall time.
    """

    day: date
    messages: int
    bad: Mapping[str, int]
    commodities: int
    seconds: float


def extract_prices(api: PriceApi, kafka: KafkaSettings, day: date, *, topic: str = TOPIC) -> Extracted:
    """Publish a day's prices to a topic, which is made where it is not there.

    Doing so again doubles nothing further on: of equal ticks one is kept (`ocelake.ticks`).

    Raises
    ------
    FeedRefused
        Where not one row is a price; nothing is published then.
    OcelakeError
        As `PriceApi.rows`, and as `ocelake.stream.produce.produce`.
    """
    began = time.perf_counter()
    rows = list(api.rows(day))
    keys = [_key(row) for row in rows]
    values = [json.dumps(row, separators=(",", ":")).encode() for row in rows]
    bad = _bad(values)
    if rows and bad.total() == len(rows):
        raise FeedRefused(
            f"Of {len(rows):,} rows of {day} not one is a price: {', '.join(sorted(bad))}.",
            fix="Check whether the API has changed.",
        )
    guard = broker_guard(kafka)
    try:
        guard.call(partitions, kafka, topic)
    except NotFound:
        guard.call(create_topic, kafka, topic, PARTITIONS)
    produce(kafka, topic, [Batch(keys, values, np.zeros(len(values), np.int64))])
    return Extracted(day, len(rows), dict(bad), len({key for key in keys if key}), time.perf_counter() - began)


def _key(row: Any) -> str:
    said = row.get("commodity") if isinstance(row, dict) else None
    # Half of a surrogate pair is in no encoding: it is written as JSON would.
    return said.strip().encode(errors="backslashreplace").decode() if isinstance(said, str) else ""


def _bad(values: list[bytes]) -> Counter[str]:
    """Count what will not be accepted, by the reasons that silver has."""
    ticks = decode_ticks(range(len(values)), values).ticks.with_columns(batch_id=pl.lit("day"))
    batch = pl.DataFrame({"batch_id": ["day"], "source": "api", "partition": 0, "first_offset": 0})
    reasons = conform_ticks(ticks, batch, LogSettings()).quarantine["reason"]
    return Counter(reason for reason in reasons if reason not in LOST)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, requests.RequestException)

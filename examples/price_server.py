#!/usr/bin/env python3
"""A REST server of commodity prices for the demo and the tests: the shape of a real one, prices by a seed.

    python examples/price_server.py --port 8300
    curl -H 'X-Api-Key: demo' 'http://127.0.0.1:8300/v1/prices?date=2024-03-01&page=1'

answers with ``{"data": [{"commodity", "time", "price", "currency", "unit", "volume"}, ...], "next_page": 2}``; the last
page has ``"next_page": null``. Everything that a real one does wrong can be asked for: bad rows, errors, slowness.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMMODITIES = {
    "aluminium": (2230.0, "t"),
    "copper": (8420.0, "t"),
    "gold": (2044.0, "oz"),
    "natural-gas": (1.86, "MMBtu"),
    "oil-brent": (83.6, "bbl"),
    "wheat": (5.73, "bu"),
}
"""Their prices in US dollars around 2024-03-01, and units."""

WAVES = ((90.0, 0.06), (17.0, 0.03), (3.1, 0.012), (0.6, 0.005), (0.11, 0.002))
"""Days and height of what moves a price."""

BAD_ROWS: tuple[Any, ...] = (
    {"price": "n/a"},
    {"price": None},
    {"time": "yesterday"},
    {"commodity": ""},
    {"volume": -1},
)


def day_rows(day: date, seed: int, every: int, bad_share: float) -> list[dict[str, Any]]:
    """Give the rows of one day: the same for the same arguments."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = []
    for step in range(86_400 // every):
        at = begin + timedelta(seconds=step * every)
        for commodity, (usual, unit) in COMMODITIES.items():
            chance = Random(f"{seed} {commodity} {at:%Y%m%d%H%M%S}")
            days = at.timestamp() / 86_400
            phases = Random(f"{seed} {commodity}")
            level = sum(height * math.sin(2 * math.pi * (days / period + phases.random())) for period, height in WAVES)
            shock = chance.choice((-0.04, 0.04)) if chance.random() < 0.0005 else 0.0
            row: dict[str, Any] = {
                "commodity": commodity,
                "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "price": round(usual * math.exp(level + chance.gauss(0, 0.0008) + shock), 4),
                "currency": "USD",
                "unit": unit,
                "volume": round(chance.lognormvariate(4, 0.5), 1),
            }
            rows.append(row | chance.choice(BAD_ROWS) if chance.random() < bad_share else row)
    return rows


def make_server(options: argparse.Namespace) -> ThreadingHTTPServer:
    """Give a server that listens on the port of the options."""
    failures = Counter(errors=options.errors)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(options.slow)
            asked = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(asked.query).items()}
            if self.headers.get("X-Api-Key") != options.key:
                return self.answer(401, {"error": "unknown key"})
            if failures["errors"] > 0:
                failures["errors"] -= 1
                return self.answer(500, {"error": "internal error"})
            if asked.path != "/v1/prices":
                return self.answer(404, {"error": "no such resource"})
            try:
                day, page = date.fromisoformat(query["date"]), int(query.get("page", "1"))
            except (KeyError, ValueError):
                return self.answer(400, {"error": "date and page are wrong"})
            rows = day_rows(day, options.seed, options.every, options.bad_share)
            end = page * options.page_size
            following = page + 1 if end < len(rows) else None
            return self.answer(200, {"data": rows[end - options.page_size : end], "next_page": following})

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            if options.verbose:
                super().log_message(format, *args)

    return ThreadingHTTPServer((options.host, options.port), Handler)


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8300, help="0 for any free one")
    parser.add_argument("--key", default="demo", help="the key that a caller has to show")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=300, help="seconds between two prices of a commodity")
    parser.add_argument("--page-size", type=int, default=500)
    parser.add_argument("--bad-share", type=float, default=0.0, help="share of rows that are wrong in some way")
    parser.add_argument("--errors", type=int, default=0, help="answer so many requests with an error first")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds that every answer takes")
    parser.add_argument("--verbose", action="store_true", help="log requests")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with make_server(read_options()) as server:
        print(f"http://{server.server_address[0]}:{server.server_address[1]}", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()

"""Feeds: what is fetched from elsewhere into topics."""

from __future__ import annotations

from assets.feeds.prices import commodity_prices

__all__ = ["commodity_prices"]

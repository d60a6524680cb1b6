"""A feed of prices: ticks as they came, prices, bars, and what is unusual in them."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import BATCH, LOG, PLACE, POSITION, TableSpec, count, instant, number, text

__all__ = ["PRICE_TICKS", "SPECS"]

_COMMODITY: Final = text("commodity", "What is priced.", required=True)
_INTERVAL: Final = text("interval", "The bar's length, such as 1m, 1h or 1d.", required=True)
_BEGIN: Final = instant("time", "When the bar begins.", required=True)

PRICE_TICKS: Final = TableSpec(
    "bronze",
    "price_ticks",
    "bronze",
    "One price tick as its source wrote it.",
    (
        LOG,
        BATCH,
        POSITION,
        text("commodity", "What is priced, as written."),
        text("time", "When the price held, as written."),
        text("price", "The price as written."),
        text("volume", "The traded volume as written."),
        text("currency", "The price's currency as written."),
        text("unit", "What the price is for one of, as written."),
        count("version", "What the source declares: the greatest wins. Ticks without one go by offset, before it."),
        text("defect", "Why the tick cannot be read at all (a reason code); null for a readable one."),
        text("raw", "The message's text, where the columns do not hold all of it."),
    ),
    key=("log_id", "batch_id", "position"),
    sort=("batch_id", "position"),
)

SPECS: Final = (
    PRICE_TICKS,
    TableSpec(
        "silver",
        "prices",
        "prices",
        "One commodity's price at one time: of its ticks the one with the greatest version.",
        (
            LOG,
            _COMMODITY,
            instant("time", "When the price held.", required=True),
            number("price", "The price.", required=True),
            number("volume", "The traded volume."),
            text("currency", "The price's currency."),
            text("unit", "What the price is for one of."),
            count("version", "The declared version of the tick that is kept, else its offset."),
            BATCH,
            POSITION,
        ),
        key=("log_id", "commodity", "time"),
        sort=("time", "commodity"),
    ),
    TableSpec(
        "silver",
        "price_quarantine",
        "prices",
        "One tick that was read and not accepted, with the one reason.",
        (
            LOG,
            BATCH,
            text("reason", "Reason code.", required=True),
            text("source", "File name, topic or query.", required=True),
            POSITION,
            *PLACE,
            text("commodity", "What is priced, where the tick tells it."),
            instant("time", "When the price held, where the tick tells it."),
            text("raw", "The source's text."),
            text("detail", "What is wrong, for a person."),
        ),
        key=("log_id", "batch_id", "position"),
        sort=("reason", "batch_id", "position"),
    ),
    TableSpec(
        "silver",
        "price_accounting",
        "prices",
        "Ticks read, accepted and quarantined, by batch: read = accepted + quarantined.",
        (
            LOG,
            BATCH,
            count("read", "Ticks that the batch brought, as `bronze.batches` says.", required=True),
            count("accepted", "Rows in `silver.prices`.", required=True),
            count("quarantined", "Rows in `silver.price_quarantine`.", required=True),
        ),
        key=("log_id", "batch_id"),
        sort=("batch_id",),
    ),
    TableSpec(
        "gold",
        "price_bars",
        "bars",
        "One commodity's prices within one interval of time.",
        (
            LOG,
            _COMMODITY,
            _INTERVAL,
            _BEGIN,
            number("open", "The first price.", required=True),
            number("high", "The highest price.", required=True),
            number("low", "The lowest price.", required=True),
            number("close", "The last price.", required=True),
            number("mean", "The mean of the prices.", required=True),
            number("volume", "The sum of the volumes; null where no price has one."),
            count("prices", "How many prices there are.", required=True),
            number("log_return", "Logarithm of the close over that of the bar before; null where one is not positive."),
            number("average_short", "Mean of the last closes, this one included; null until there are as many."),
            number("average_long", "The same over more closes."),
            number("volatility", "Standard deviation of the last log returns; null until there are as many."),
        ),
        key=("log_id", "commodity", "interval", "time"),
        sort=("interval", "commodity", "time"),
    ),
    TableSpec(
        "gold",
        "price_anomalies",
        "bars",
        "One measure of a bar that is far from what it was in the bars before.",
        (
            LOG,
            _COMMODITY,
            _INTERVAL,
            _BEGIN,
            text("kind", "jump (the log return), range (logarithm of high over low) or volume.", required=True),
            number("value", "The measure in this bar.", required=True),
            number("expected", "Its mean over the bars before.", required=True),
            number("spread", "Its standard deviation over the bars before.", required=True),
            number("score", "How many standard deviations the value is from the mean.", required=True),
        ),
        key=("log_id", "commodity", "interval", "time", "kind"),
        sort=("interval", "commodity", "time", "kind"),
    ),
)

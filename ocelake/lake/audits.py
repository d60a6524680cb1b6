"""The checks of a whole layer: each of its tables against the registry, and what has to hold across them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import polars as pl

from ocelake.lake.build import silver_tables
from ocelake.ocel.audit import LOG_CHECKS, Check, Finding, audit_log, audit_table, table_checks
from ocelake.ocel.conform import Conformed
from ocelake.ocel.model import Ocel
from ocelake.settings import LogSettings
from ocelake.tables import TABLES, Layer, layer_tables
from ocelake.ticks import LOST

__all__ = [
    "ANALYSIS_CHECKS",
    "BAR_CHECKS",
    "CHAMPION_CHECKS",
    "FEATURE_CHECKS",
    "GOLD_CHECKS",
    "MODEL_CHECKS",
    "MONITORING_CHECKS",
    "POLICY_CHECKS",
    "PREDICTION_CHECKS",
    "PRICE_CHECKS",
    "SILVER_CHECKS",
    "TRAINING_CHECKS",
    "audit_analysis",
    "audit_bars",
    "audit_gold",
    "audit_model",
    "audit_monitoring",
    "audit_plainly",
    "audit_policy",
    "audit_prices",
    "audit_silver",
    "audit_training",
    "blocking",
]

_VARIANTS_COMPLETE: Final = Check(
    "trace_variants_complete",
    "gold.trace_variants",
    "error",
    "Every object of the log has one trace variant: their objects add up, type by type.",
)
_NETS_SOUND: Final = Check(
    "nets_sound",
    "gold.model_soundness",
    "error",
    "No object type's net is unsound; one whose soundness is not known within the limit passes, and says so.",
)
_LOG_REPLAYABLE: Final = Check(
    "log_replayable",
    "ocpn.models",
    "error",
    "The whole log can be replayed on the glued net: sound nets can be dead together. Not known (a limit) passes.",
)

_COSTS_APPLY: Final = Check(
    "cost_model_applies",
    "gold.cost_summary",
    "warn",
    "All that the log's cost model names is in the log, and what it counts are numbers.",
)

_TICKS_ACCOUNTED: Final = Check(
    "price_ticks_accounted_for",
    "silver.price_accounting",
    "error",
    "Every tick of every batch is a price or in quarantine: read = accepted + quarantined.",
)
_TICKS_SOUND: Final = Check(
    "price_ticks_sound",
    "silver.price_quarantine",
    "warn",
    "Of the ticks no more than the log's `max_quarantined_share` are bad; repeated and corrected ones are not.",
)
_CURRENCIES_STEADY: Final = Check(
    "price_currencies_steady",
    "silver.prices",
    "warn",
    "Every commodity is priced in one currency and for one unit: bars do not convert.",
)
_BARS_SOUND: Final = Check(
    "price_bars_sound",
    "gold.price_bars",
    "error",
    "No bar opens or closes outside of its low and high.",
)

_CHALLENGER: Final = Check(
    "challenger_promotable",
    "models.tasks",
    "error",
    "Of the models that were trained, one at least is better than its baseline and than the champion; or a champion "
    "stays.",
)
_BASELINES: Final = Check(
    "baselines_beaten",
    "models.metrics",
    "warn",
    "Every model is better than its baseline, beyond the 95% interval of the difference.",
)
_TRAINED: Final = Check(
    "tasks_trained",
    "models.tasks",
    "warn",
    "There is a model for every task; a small or odd log has none, and says why.",
)
_FEATURES_STEADY: Final = Check(
    "features_steady",
    "models.monitoring",
    "warn",
    "No feature is distributed otherwise than when the champion was trained.",
)
_PREDICTIONS_STEADY: Final = Check(
    "predictions_steady", "models.monitoring", "warn", "The champion predicts the same things as often as in its test."
)
_ERROR_STEADY: Final = Check(
    "errors_as_tested",
    "models.monitoring",
    "warn",
    "Where outcomes have arrived, the champion errs no more than in its test.",
)


def _table_checks(layer: Layer) -> tuple[Check, ...]:
    return tuple(check for spec in layer_tables(layer) for check in table_checks(spec))


SILVER_CHECKS: Final = (*_table_checks("silver"), *LOG_CHECKS)
GOLD_CHECKS: Final = (*_table_checks("gold"), _VARIANTS_COMPLETE)
ANALYSIS_CHECKS: Final = _table_checks("analysis")
MODEL_CHECKS: Final = (*_table_checks("model"), _NETS_SOUND, _LOG_REPLAYABLE)
POLICY_CHECKS: Final = (*_table_checks("policy"), _COSTS_APPLY)
KPI_CHECKS: Final = _table_checks("kpis")
PRICE_CHECKS: Final = (*_table_checks("prices"), _TICKS_ACCOUNTED, _TICKS_SOUND, _CURRENCIES_STEADY)
FEATURE_CHECKS: Final = _table_checks("features")
TRAINING_CHECKS: Final = (*_table_checks("models"), _TRAINED, _BASELINES, _CHALLENGER)
CHAMPION_CHECKS: Final = _table_checks("champions")
PREDICTION_CHECKS: Final = _table_checks("predictions")
OUTLOOK_CHECKS: Final = _table_checks("outlook")
MONITORING_CHECKS: Final = (*_table_checks("monitoring"), _FEATURES_STEADY, _PREDICTIONS_STEADY, _ERROR_STEADY)
BAR_CHECKS: Final = (*_table_checks("bars"), _BARS_SOUND)


def audit_silver(conformed: Conformed, settings: LogSettings, previous: Ocel | None = None) -> list[Finding]:
    """Check the staged silver tables of a log; one finding for each of `SILVER_CHECKS`.

    Parameters
    ----------
    conformed : Conformed
        The staged log.
    settings : LogSettings
        How the log is judged.
    previous : Ocel, optional
        What is published now, to tell new types by.
    """
    return [*_audit_tables(silver_tables(conformed)), *audit_log(conformed, settings, previous)]


def audit_gold(tables: Mapping[str, pl.DataFrame], objects: pl.DataFrame | None = None) -> list[Finding]:
    """Check the staged gold tables of a log; one finding for each of `GOLD_CHECKS`.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        The tables; the rows that come where only these are staged.
    objects : DataFrame, optional
        ``object_type``, ``summaries``: how many objects have a summary, where not all of these are staged.
    """
    by_type = objects
    if by_type is None:
        by_type = tables["gold.object_summaries"].group_by("object_type").len("summaries")
    by_variant = tables["gold.trace_variants"].group_by("object_type").agg(pl.col("objects").sum())
    wrong = by_type.join(by_variant, on="object_type", how="full", coalesce=True).filter(
        pl.col("summaries").cast(pl.Int64).ne_missing(pl.col("objects"))
    )
    said = f"They do not for {wrong['object_type'].to_list()}."
    return [*_audit_tables(tables), _found(_VARIANTS_COMPLETE, wrong.height, said)]


def audit_analysis(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged analysis of a log; one finding for each of `ANALYSIS_CHECKS`."""
    return _audit_tables(tables)


def audit_model(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged model of a log; one finding for each of `MODEL_CHECKS`.

    A model that fails here is not published, so that the one before it stays the log's current model.
    """
    nets = tables["gold.model_soundness"]
    unsound = nets.filter(~pl.col("sound"))
    reasons = "; ".join(f"{kind}: {reason}" for kind, reason in unsound.select("object_type", "reason").iter_rows())
    unknown = nets.filter(pl.col("sound").is_null())["object_type"].to_list()
    sound = _found(_NETS_SOUND, unsound.height, f"Unsound: {reasons}.")
    if unknown and sound.passed:
        sound = replace(sound, message=f"No net is known to be unsound; not known of {unknown}.")
    (replayable,) = tables["ocpn.models"]["replayable"]
    (told,) = tables["gold.model_quality"].filter(metric="glued_replay")["detail"]
    replayed = replace(_found(_LOG_REPLAYABLE, int(replayable is False), told), message=told)
    return [*_audit_tables(tables), sound, replayed]


def audit_policy(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged policy tables of a log; one finding for each of `POLICY_CHECKS`."""
    without_effect = tables["gold.cost_summary"]["without_effect"].drop_nulls()
    return [*_audit_tables(tables), _found(_COSTS_APPLY, len(without_effect), " ".join(without_effect))]


def audit_plainly(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check staged tables of which nothing is asked but what the registry says: features, champions, predictions."""
    return _audit_tables(tables)


def audit_training(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged tables of a training; one finding for each of `TRAINING_CHECKS`.

    That no model may be promoted keeps nothing from being published, but the promotion from being made.
    """
    tasks = tables["models.tasks"]
    trained = tasks.filter(pl.col("trained"))
    without = tasks.filter(~pl.col("trained"))
    worse = trained.filter(~pl.col("better"))
    may_predict = trained["promotable"].any() or trained["against_champion"].count()
    none = 0 if may_predict else trained.height
    named = "; ".join(
        f"{task} of {kind}: {reason}"
        for task, kind, reason in without.select(
            "task", "object_type", pl.col("reason").str.strip_chars_end(".")
        ).iter_rows()
    )
    beaten = ", ".join(f"{task} of {kind}" for task, kind in worse.select("task", "object_type").iter_rows())
    return [
        *_audit_tables(tables),
        _found(_TRAINED, without.height, f"There is none for {named}."),
        _found(_BASELINES, worse.height, f"Not so for {beaten}."),
        _found(_CHALLENGER, none, f"None of {trained.height} is: {beaten}; and there is no champion."),
    ]


def audit_monitoring(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged monitoring of a log; one finding for each of `MONITORING_CHECKS`."""
    alarms = tables["models.monitoring"].filter(pl.col("alarm"))
    checks = {"feature_drift": _FEATURES_STEADY, "prediction_drift": _PREDICTIONS_STEADY, "error": _ERROR_STEADY}
    found = _audit_tables(tables)
    for measure, check in checks.items():
        rows = alarms.filter(pl.col("measure") == measure).sort("value", descending=True)
        told = ", ".join(
            f"{subject} of {kind} ({value:.3g})"
            for subject, kind, value in rows.select("subject", "object_type", "value").head(5).iter_rows()
        )
        found.append(_found(check, rows.height, f"Not so: {told}."))
    return found


def audit_kpis(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged live figures of a log; one finding for each of `KPI_CHECKS`."""
    return _audit_tables(tables)


def audit_prices(tables: Mapping[str, pl.DataFrame], settings: LogSettings) -> list[Finding]:
    """Check the staged prices of a log; one finding for each of `PRICE_CHECKS`.

    Parameters
    ----------
    settings : LogSettings
        Which share of the ticks may be bad.
    """
    prices, quarantine, counts = (
        tables[f"silver.{name}"] for name in ("prices", "price_quarantine", "price_accounting")
    )
    read = int(counts["read"].sum())
    lost = counts.filter(pl.col("read") != pl.col("accepted") + pl.col("quarantined"))
    bad = quarantine.filter(~pl.col("reason").is_in(LOST))
    too_many = bad.height if bad.height > settings.max_quarantined_share * read else 0
    reasons = ", ".join(
        f"{rows:,} {reason}" for reason, rows in bad.group_by("reason").len().sort("reason").iter_rows()
    )
    changing = prices.group_by("commodity").agg(pl.struct("currency", "unit").n_unique()).filter(pl.col("currency") > 1)
    return [
        *_audit_tables(tables),
        _found(_TICKS_ACCOUNTED, lost.height, f"It is not for {', '.join(lost['batch_id'].head(5))}."),
        _found(_TICKS_SOUND, too_many, f"{bad.height:,} of {read:,} ticks are bad: {reasons}."),
        _found(_CURRENCIES_STEADY, changing.height, f"Not so are {sorted(changing['commodity'])}."),
    ]


def audit_bars(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged bars of a log; one finding for each of `BAR_CHECKS`."""
    bars = tables["gold.price_bars"]
    inside = pl.all_horizontal(pl.col("open", "close").is_between("low", "high"))
    wrong = bars.filter(~inside)
    return [
        *_audit_tables(tables),
        _found(_BARS_SOUND, wrong.height, f"{wrong.height:,} bars do."),
    ]


def _found(check: Check, rows: int, message: str) -> Finding:
    """Give what a check found: the message where it fails for some rows, else what the check means."""
    return Finding(check.name, check.table, rows == 0, check.severity, message if rows else check.doc, rows)


def blocking(findings: list[Finding]) -> list[Finding]:
    """Give the findings that keep a layer from being published."""
    return [finding for finding in findings if finding.severity == "error" and not finding.passed]


def _audit_tables(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    return [finding for identifier, frame in tables.items() for finding in audit_table(TABLES[identifier], frame)]

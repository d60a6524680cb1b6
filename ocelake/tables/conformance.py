"""Conformance: how well the log fits the model and its rules."""

from __future__ import annotations

from typing import Final

import polars as pl

from ocelake.tables.spec import LOG, OBJECT_TYPE, Column, TableSpec, count, number, text

__all__ = ["SPECS"]

_MODEL = text("model_id", "The model (`ocpn.models`).", required=True)

_MOVE: Final = pl.Struct({"move": pl.String, "activity": pl.String, "transition": pl.String})
"""One move of an alignment: sync, log, model or silent; the activity and the transition's name, where it has them."""

_MODEL_SPECS: Final[tuple[TableSpec, ...]] = (
    TableSpec(
        "gold",
        "variant_conformance",
        "model",
        "How one trace variant fits the net of its type: token-based replay, and one optimal alignment.",
        (
            LOG,
            _MODEL,
            OBJECT_TYPE,
            text("variant_id", "The trace variant (`gold.trace_variants`).", required=True),
            count("objects", "Objects with this trace.", required=True),
            count("produced", "Tokens produced, the initial ones included.", required=True),
            count("consumed", "Tokens consumed, the final ones included.", required=True),
            count("missing", "Tokens that had to be added.", required=True),
            count("remaining", "Tokens left over.", required=True),
            count("unknown", "Events of activities that the net does not have.", required=True),
            Column("fits", pl.Boolean, "Whether the replay ended with nothing missing, remaining or unknown.", True),
            number("replay_fitness", "1 - (missing / consumed + remaining / produced) / 2.", required=True),
            count("cost", "Log moves and visible model moves of an optimal alignment; null where it was not found."),
            number("alignment_fitness", "1 - cost / (events + the cost of the empty trace); null without a cost."),
            Column(
                "moves",
                pl.List(_MOVE),
                "An optimal alignment, where the cost is positive; at cost 0 it is the trace itself.",
            ),
            text("note", "Why there is no cost."),
        ),
        key=("log_id", "model_id", "object_type", "variant_id"),
        sort=("model_id", "object_type", "objects", "variant_id"),
    ),
    TableSpec(
        "gold",
        "model_quality",
        "model",
        "One measure of how good a model is.",
        (
            LOG,
            _MODEL,
            text("object_type", "The object type; null for the whole model."),
            text("metric", "What is measured.", required=True),
            number("value", "The value; null where it was not computed."),
            text("detail", "How it came about, or why there is none."),
        ),
        key=("log_id", "model_id", "object_type", "metric"),
        sort=("model_id", "object_type", "metric"),
    ),
)

_RULE_SPECS: Final[tuple[TableSpec, ...]] = (
    TableSpec(
        "gold",
        "rule_results",
        "policy",
        "How one rule of the log's `rules.yaml` is kept.",
        (
            LOG,
            text("rule", "The rule's name.", required=True),
            text("description", "What it asks, for a person.", required=True),
            text("severity", "What its failure is: error or warning.", required=True),
            count("candidates", "Events or objects that it is about; null where there is a problem, as all below."),
            count("violations", "Candidates that violate it."),
            count("pending", "Candidates that are not as asked, but have time to become so after the last event."),
            number("share", "Of violations among candidates; null without candidates."),
            Column("passed", pl.Boolean, "Whether the share is within the rule's tolerance."),
            text("problem", "Why it could not be checked: what it names that the log does not have."),
        ),
        key=("log_id", "rule"),
        sort=("rule",),
    ),
    TableSpec(
        "gold",
        "rule_violations",
        "policy",
        "One candidate that violates a rule.",
        (
            LOG,
            text("rule", "The rule's name.", required=True),
            count("violation", "Its number, from 1, in the order of the events or objects.", required=True),
            Column("event_ids", pl.List(pl.String), "The candidate if it is an event, then those that show it.", True),
            Column("object_ids", pl.List(pl.String), "The candidate if it is an object, then those concerned.", True),
            text("detail", "What is wrong.", required=True),
        ),
        key=("log_id", "rule", "violation"),
        sort=("rule", "violation"),
    ),
)

SPECS: Final[tuple[TableSpec, ...]] = (*_MODEL_SPECS, *_RULE_SPECS)

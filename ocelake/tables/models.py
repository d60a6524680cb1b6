"""Models: the object-centric Petri net that is current for a log, and what makes it fit to be."""

from __future__ import annotations

from typing import Final

import polars as pl

from ocelake.tables.spec import LOG, OBJECT_TYPE, Column, TableSpec, count, number, text

__all__ = ["SPECS"]

_MODEL = text("model_id", "Stable hash of the net and its parameters, 16 hex digits.", required=True)

SPECS: Final = (
    TableSpec(
        "ocpn",
        "models",
        "model",
        "One model: an object-centric Petri net, mined from one silver publication.",
        (
            LOG,
            _MODEL,
            count(
                "version",
                "Publications of the log's models so far.",
                required=True,
            ),
            text("publication_id", "The silver publication that it was mined from.", required=True),
            text("parameters", "The miner's parameters (JSON text).", required=True),
            Column("object_types", pl.List(pl.String), "The types that have a net.", True),
            count("places", "Places.", required=True),
            count("transitions", "Transitions, silent ones included.", required=True),
            count("silent", "Silent transitions.", required=True),
            count("arcs", "Arcs.", required=True),
            count("variable_arcs", "Arcs that take or give any number of objects.", required=True),
            number("density", "Arcs over 2 * places * transitions."),
            Column("sound", pl.Boolean, "Whether every type's net is; null where not known."),
            Column(
                "replayable",
                pl.Boolean,
                "Whether the whole log can be replayed on it.",
            ),
        ),
        key=("log_id", "model_id"),
        sort=("model_id",),
    ),
    TableSpec(
        "ocpn",
        "places",
        "model",
        "One place.",
        (LOG, _MODEL, text("place_id", "The place, unique in the model.", required=True), OBJECT_TYPE),
        key=("log_id", "model_id", "place_id"),
        sort=("model_id", "place_id"),
    ),
    TableSpec(
        "ocpn",
        "transitions",
        "model",
        "One transition.",
        (
            LOG,
            _MODEL,
            text("transition_id", "The transition, unique in the model.", required=True),
            text("activity", "The event type that it stands for; null for a silent one."),
            text("object_type", "The type whose net has it; null for a visible one, which all its types share."),
        ),
        key=("log_id", "model_id", "transition_id"),
        sort=("model_id", "transition_id"),
    ),
    TableSpec(
        "ocpn",
        "arcs",
        "model",
        "One arc.",
        (
            LOG,
            _MODEL,
            text("source_id", "The place or transition that it leaves.", required=True),
            text("target_id", "The place or transition that it enters.", required=True),
            OBJECT_TYPE,
            Column(
                "variable",
                pl.Boolean,
                "One firing takes (gives) any number of objects.",
                True,
            ),
            count("minimum", "Fewest objects of one firing.", required=True),
            count("maximum", "Most objects of one firing, as seen.", required=True),
        ),
        key=("log_id", "model_id", "source_id", "target_id"),
        sort=("model_id", "source_id", "target_id"),
    ),
    TableSpec(
        "ocpn",
        "markings",
        "model",
        "One place of the initial or the final marking, for each object of its type.",
        (
            LOG,
            _MODEL,
            text("marking", "initial or final.", required=True),
            text("place_id", "The place.", required=True),
            count("tokens", "Tokens an object.", required=True),
        ),
        key=("log_id", "model_id", "marking", "place_id"),
        sort=("model_id", "marking", "place_id"),
    ),
    TableSpec(
        "ocpn",
        "layout",
        "model",
        "Where one place, transition or arc is drawn; the origin is at the top left.",
        (
            LOG,
            _MODEL,
            text("element_id", "A place, a transition, or an arc as SOURCE -> TARGET.", required=True),
            text("element", "place, transition or arc.", required=True),
            number("x", "Centre; of an arc, its label's."),
            number("y", "Centre; of an arc, its label's."),
            number("width", "Of a place or transition."),
            number("height", "Of a place or transition."),
            Column(
                "path",
                pl.List(pl.Float64),
                "Of an arc: x, y of its Bezier curves, then its tip.",
            ),
        ),
        key=("log_id", "model_id", "element", "element_id"),
        sort=("model_id", "element", "element_id"),
    ),
    TableSpec(
        "gold",
        "model_soundness",
        "model",
        "Soundness and size of one type's net.",
        (
            LOG,
            _MODEL,
            OBJECT_TYPE,
            Column("sound", pl.Boolean, "Whether it is sound; null where not known."),
            text("reason", "How that is known, or what is wrong.", required=True),
            count("states", "Markings looked at; 0 if by construction.", required=True),
            count("places", "Places.", required=True),
            count("transitions", "Transitions.", required=True),
            count("silent", "Silent transitions.", required=True),
            count("arcs", "Arcs.", required=True),
            number("density", "Arcs over 2 * places * transitions."),
        ),
        key=("log_id", "model_id", "object_type"),
        sort=("model_id", "object_type"),
    ),
)

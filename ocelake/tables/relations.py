"""Analysis: how object types are related, in number and in time."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import LOG, TableSpec, count, text

__all__ = ["SPECS"]

_SOURCE: Final = text("source_type", "The object type that the relation starts from.", required=True)
_TARGET: Final = text("target_type", "The object type that it leads to.", required=True)

SPECS: Final[tuple[TableSpec, ...]] = (
    TableSpec(
        "gold",
        "type_relations",
        "analysis",
        "How the objects of one type are related to those of another (TOTeM): by common events or O2O.",
        (
            LOG,
            _SOURCE,
            _TARGET,
            text(
                "temporal_relation",
                "The source's life is within the target's (D), starts it or comes before it (I), the inverses of these "
                "(Di, Ii), or any (P); null where no pair has events, or with a note.",
            ),
            text(
                "event_cardinality",
                "Targets of an event that has a source: 0, 1, 0..1, 1..* or 0..*; null without events.",
            ),
            text("log_cardinality", "Targets that a source is related to: 0, 1, 0..1, 1..* or 0..*; null with a note."),
            count("events", "Events with an object of the source type.", required=True),
            count("events_one", "Of these, with one object of the target type.", required=True),
            count("events_many", "Of these, with several.", required=True),
            count("objects", "Objects of the source type.", required=True),
            count("objects_one", "Of these, related to one object of the target type; null with a note."),
            count("objects_many", "Of these, related to several; null with a note."),
            count("dependent", "Related pairs with D; null with a note."),
            count("dependent_inverse", "Related pairs with Di; null with a note."),
            count("initiating", "Related pairs with I; null with a note."),
            count("initiating_inverse", "Related pairs with Ii; null with a note."),
            count("pairs", "Related pairs of which both have events; null with a note."),
            text("note", "Why what follows from pairs of objects was not counted."),
        ),
        key=("log_id", "source_type", "target_type"),
        sort=("source_type", "target_type"),
    ),
    TableSpec(
        "gold",
        "type_graph",
        "analysis",
        "The edges of one object graph between objects of two types.",
        (
            LOG,
            text(
                "relation",
                "interaction, cobirth, codeath (the source is first in the alphabet), descendants, inheritance or o2o.",
                required=True,
            ),
            _SOURCE,
            _TARGET,
            count("object_pairs", "Distinct pairs of objects; null with a note."),
            text("note", "Why the pairs were not counted."),
        ),
        key=("log_id", "relation", "source_type", "target_type"),
        sort=("relation", "source_type", "target_type"),
    ),
)

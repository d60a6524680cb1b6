"""What is known of an object as of each of its events, and what becomes of it: features and labels of prefixes.

A prefix is an object's trace up to one of its events. `prefixes` computes what is known then, from the object, the
execution around it as known so far, and the rest of the log so far; nothing that happens later has a say. `labels` says
what came after: the next activity, the remaining time, delay and outcomes, and when each of them became known.
"""

from ocelake.features.columns import FeatureColumn
from ocelake.features.graph import PrefixGraph, prefix_graph
from ocelake.features.labels import END, Kind, label_prefixes, tasks_of
from ocelake.features.prefixes import (
    SHARED,
    Prefixes,
    default_types,
    find_context,
    flowing_types,
    is_duration,
    prefix_features,
)
from ocelake.features.settings import ANY_END, OutcomeSettings, PredictionSettings

__all__ = [
    "ANY_END",
    "END",
    "SHARED",
    "FeatureColumn",
    "Kind",
    "OutcomeSettings",
    "PredictionSettings",
    "PrefixGraph",
    "Prefixes",
    "default_types",
    "find_context",
    "flowing_types",
    "is_duration",
    "label_prefixes",
    "prefix_features",
    "prefix_graph",
    "tasks_of",
]

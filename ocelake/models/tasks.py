"""What a model is asked, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ocelake.features.labels import Kind

__all__ = ["MODEL", "PRIMARY", "QUANTILES", "SEQUENCE", "Kind", "Task", "TrainingSettings", "Untrainable", "gain"]

PRIMARY: Final[Mapping[Kind, str]] = {"activity": "accuracy", "duration": "mae", "outcome": "brier"}
"""The metric that decides, by kind of task."""

MODEL: Final = "gradient boosting"
"""What models are called beside their baselines."""

SEQUENCE: Final = "sequence model"
"""What a sequence model is called beside them."""

QUANTILES: Final = (0.1, 0.5, 0.9)
"""Of a duration: the ends of its interval, and what is predicted between them."""


def gain(kind: Kind, difference: float) -> float:
    """Give by how much a metric that decides is better where it differs so; below 0, it is worse.

    Examples
    --------
    >>> gain("activity", 0.1), gain("duration", 0.1)
    (0.1, -0.1)
    """
    return difference if kind == "activity" else -difference


@dataclass(frozen=True, slots=True)
class Task:
    """One question about the prefixes of an object type.

    Attributes
    ----------
    name : str
    kind : {"activity", "duration", "outcome"}
        One of several activities, seconds, or a truth.
    object_type : str
    """

    name: str
    kind: Kind
    object_type: str


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How models are trained.

    Attributes
    ----------
    test_share : float
        Share of the objects, the last to begin, after whose first begin models are judged.
    validation_share : float
        The same once more within what is trained on: for the choice of parameters, and calibration.
    max_rows : int
        At most so many prefixes are fitted, by drawing whole objects.
    replicates : int
        Of the bootstrap.
    sequence : bool
        Whether a sequence model is judged beside model and baseline; it takes the extra ``sequence``.
    """

    test_share: float = 0.3
    validation_share: float = 0.2
    max_rows: int = 60_000
    replicates: int = 500
    sequence: bool = False


@dataclass(frozen=True, slots=True)
class Untrainable:
    """Why there is no model for a task."""

    task: Task
    reason: str

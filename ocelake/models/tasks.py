"""What a model is asked, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from ocelake.features.labels import Kind

__all__ = ["PRIMARY", "Kind", "Task", "TrainingSettings", "Untrainable"]

PRIMARY: dict[str, str] = {"activity": "accuracy", "duration": "mae", "outcome": "brier"}
"""The metric that decides, by kind of task; of the last two less is better."""


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
    """

    test_share: float = 0.3
    validation_share: float = 0.2
    max_rows: int = 60_000
    replicates: int = 500


@dataclass(frozen=True, slots=True)
class Untrainable:
    """Why there is no model for a task."""

    task: Task
    reason: str

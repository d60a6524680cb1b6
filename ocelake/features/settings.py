"""What a log's predictions are about (``logs/<log_id>.predict.yaml``)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ocelake.settings import INTERVAL, FileSettings, duration

__all__ = ["ANY_END", "OutcomeSettings", "PredictionSettings"]

ANY_END: Final = "*"
"""As an end: whatever an object did last, it is over."""


class OutcomeSettings(BaseModel):
    """How an execution may end: one of ``activity``, ``attribute`` or ``rule`` says when the outcome is true.

    Attributes
    ----------
    name : str
        What it is called.
    object_type : str
        The objects that have it.
    activity : str, optional
        True of an object that reaches this activity.
    attribute : str, optional
        True of an object with a value of this attribute: of the text ``equals``, or above the number ``above``.
    rule : str, optional
        True of an object that violates this one of the log's rules (``logs/<log_id>.rules.yaml``).
    warn : bool
        Whether it is to be warned of where it is likely; of violations always.
    warn_at : float
        From which probability on it counts as likely. What is rare hardly ever comes near one half.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$")]
    object_type: str
    activity: str | None = None
    attribute: str | None = None
    equals: str | None = None
    above: float | None = None
    rule: str | None = None
    warn: bool = False
    warn_at: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(part is not None for part in (self.activity, self.attribute, self.rule)) != 1:
            raise ValueError("say one of activity, attribute or rule")
        asked = sum(part is not None for part in (self.equals, self.above))
        if asked != (self.attribute is not None):
            raise ValueError("beside an attribute, and only there, say one of equals or above")
        return self


class PredictionSettings(FileSettings):
    """What is predicted for a log, and from what.

    Attributes
    ----------
    object_types : tuple of str
        The types of objects that predictions are about. Without them, the type that takes part in most events, those
        left out that live as long as the log.
    ends : dict of str to tuple of str
        By object type, the activities after which an object is over; ``"*"``: whatever it did last. Without them, an
        object is over once nothing has happened to it for longer than after 99% of its type's events.
    targets : dict of str to str
        By object type, how long an object may take from its first event to its last (``5d``): what delay is against.
    outcomes : tuple of OutcomeSettings
        How objects may end.
    initial_values : bool
        Whether values of attributes without a time are features: whoever declares them knows that they were there from
        the start.
    test_share : float
        Share of the objects, the last to begin, whose prefixes models are judged by.
    max_rows : int
        At most so many prefixes are trained on, by drawing whole objects.
    seed : int
        Of everything that is drawn.
    sequence : bool
        Whether a sequence model is trained and judged beside each model and its baseline; it takes the extra
        ``sequence`` (``pip install "ocelake[sequence]"``), and never predicts.
    """

    object_types: tuple[str, ...] = ()
    ends: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    targets: dict[str, str] = Field(default_factory=dict)
    outcomes: tuple[OutcomeSettings, ...] = ()
    initial_values: bool = False
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    max_rows: Annotated[int, Field(ge=100)] = 60_000
    seed: int = 0
    sequence: bool = False

    @field_validator("targets")
    @classmethod
    def _lengths(cls, targets: dict[str, str]) -> dict[str, str]:
        for target in targets.values():
            if not INTERVAL.fullmatch(target):
                raise ValueError(f"{target!r} is no length of time: use a number and s, m, h, d or w, as in 5d")
        return targets

    @field_validator("outcomes")
    @classmethod
    def _named_once(cls, outcomes: tuple[OutcomeSettings, ...]) -> tuple[OutcomeSettings, ...]:
        named = [(outcome.object_type, outcome.name) for outcome in outcomes]
        if len(set(named)) < len(named):
            raise ValueError("two outcomes of an object type have one name")
        return outcomes

    def target(self, object_type: str) -> timedelta | None:
        """Give how long an object of a type may take; None where nothing is said.

        Examples
        --------
        >>> PredictionSettings(targets={"orders": "2d"}).target("orders").days
        2
        """
        said = self.targets.get(object_type)
        return None if said is None else duration(said)

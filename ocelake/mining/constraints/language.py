"""The language of rules: seven shapes, each a subject and what is required of it.

============  ==============================  ==================================================================
subject       required                        shape
============  ==============================  ==================================================================
``when``      ``then``                        `EventEvents`: other events after or before it (OC-DECLARE's arcs)
``when``      ``objects``                     `EventObjects`: how many objects of a type it has
``when``      ``holds``                       `EventValues`: what its attributes say
``for_each``  ``events``                      `ObjectEvents`: how many events it has
``for_each``  ``objects``                     `ObjectObjects`: how many objects it is related to
``for_each``  ``starts_with, ends_with``      `ObjectEnds`: its first and last event
``for_each``  ``holds``                       `ObjectValues`: what its attributes say
============  ==============================  ==================================================================

References
----------
Küsters, van der Aalst: OC-DECLARE: Discovering Object-Centric Declarative Patterns with Synchronization (BPM 2025).
Maggi, Montali, Westergaard, van der Aalst: Monitoring Business Constraints with Linear Temporal Logic (BPM 2011).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from ocelake.settings import FileSettings, complaints

__all__ = [
    "Condition",
    "Count",
    "EventEvents",
    "EventObjects",
    "EventSelection",
    "EventValues",
    "Linked",
    "ObjectEnds",
    "ObjectEvents",
    "ObjectObjects",
    "ObjectSelection",
    "ObjectValues",
    "Rule",
    "Rules",
    "attribute_names",
]

_UNITS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "min": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(w|d|h|min|s|weeks?|days?|hours?|minutes?|seconds?)\b")


def _read_duration(value: object) -> object:
    """Read ``30 d``, ``2 weeks``, ``1 h 30 min``."""
    if isinstance(value, timedelta):
        return value
    spelled = str(value).strip()
    if not spelled or _PART.sub("", spelled).strip():
        raise ValueError(
            f"{spelled!r} is no duration: write a number and w, d, h, min or s, such as 30 d or 1 h 30 min"
        )
    # The long names start with the short ones.
    units = [(float(number), "min" if unit.startswith("min") else unit[0]) for number, unit in _PART.findall(spelled)]
    try:
        return sum((number * _UNITS[unit] for number, unit in units), timedelta())
    except OverflowError as error:
        raise ValueError(f"{spelled!r} is more time than there is") from error


def _spell_duration(duration: timedelta) -> str:
    parts = []
    for name, unit in _UNITS.items():
        number, duration = divmod(duration, unit)
        if number:
            parts.append(f"{number} {name}")
    if duration:
        parts.append(f"{duration.total_seconds():.6f} s")
    return " ".join(parts) or "0 s"


def _read_value(value: object) -> object:
    """Take a date for the text that an attribute of type time has."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        instant = _in_utc(value)
        return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}" if instant.microsecond else f"{instant:%Y-%m-%dT%H:%M:%SZ}"
    return value


def _in_utc(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def _one_or_more(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


Duration: TypeAlias = Annotated[
    timedelta, BeforeValidator(_read_duration), Field(ge=timedelta()), PlainSerializer(_spell_duration, str)
]
Value: TypeAlias = Annotated[StrictBool | StrictInt | StrictFloat | StrictStr, BeforeValidator(_read_value)]
Bound: TypeAlias = Annotated[
    Annotated[float, Field(allow_inf_nan=False)] | datetime,
    AfterValidator(_in_utc),
]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=100)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Part):
    """What one attribute's value has to be: everything that is said holds at once. No value fulfils only ``known: no``.

    Attributes
    ----------
    one_of, none_of : tuple of bool, int, float or str
        A value alone, or a list, is short for ``one_of``. Numbers compare as numbers; times as text in UTC.
    above, at_least, below, at_most : float or datetime, optional
        Bounds of a number or a time.
    known : bool, optional
        Whether there is a value.

    Examples
    --------
    >>> EventSelection.model_validate({"activity": "pay", "where": {"method": "card", "amount": {"above": 10}}}).where
    {'method': Condition(one_of=('card',)), 'amount': Condition(above=10.0)}
    """

    one_of: tuple[Value, ...] = ()
    none_of: tuple[Value, ...] = ()
    above: Bound | None = None
    at_least: Bound | None = None
    below: Bound | None = None
    at_most: Bound | None = None
    known: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return value if isinstance(value, dict | Condition) else {"one_of": _one_or_more(value)}

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if self == Condition.model_construct():
            raise ValueError("a condition needs a value, or one_of, none_of, above, at_least, below, at_most or known")
        if self.known is False and self != Condition.model_construct(known=False):
            raise ValueError("what is not known has no value, so that nothing else can be said of it")
        least = [bound for bound in (self.above, self.at_least) if bound is not None]
        most = [bound for bound in (self.below, self.at_most) if bound is not None]
        if len({type(bound) for bound in (*least, *most)}) > 1:
            raise ValueError("no value is a number and a time")
        if least and most and not self._has_room(max(least), min(most)):
            raise ValueError(f"no value is over {max(least)} and under {min(most)}")
        return self

    def _has_room(self, low: Any, high: Any) -> bool:
        return bool(low < high or (low == high and self.above != low and self.below != high))

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show what is said."""
        return [(name, value) for name, value in super().__repr_args__() if value not in (None, ())]


class Count(_Part):
    """How many: a number alone is exactly that many.

    Examples
    --------
    >>> Count.model_validate(1)
    Count(at_least=1, at_most=1)
    """

    at_least: Annotated[int, Field(ge=0)] = 0
    at_most: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"at_least": value, "at_most": value} if isinstance(value, int) else value

    @model_validator(mode="after")
    def _possible(self) -> Count:
        if self.at_most is None and self.at_least == 0:
            raise ValueError("a count needs at_least or at_most, or is a number")
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"no number is at least {self.at_least} and at most {self.at_most}")
        return self


Where: TypeAlias = dict[str, Condition]


class EventSelection(_Part):
    """Events of an activity, or of one of several; an activity's name alone is short for it.

    Attributes
    ----------
    activity : tuple of str
    where : dict of str to Condition
        What the event's attributes have to be.
    involving : dict of str to dict of str to Condition
        By object type: the event has an object of the type whose attributes, as of the event, fulfil the conditions
        (none: any object of the type).

    Examples
    --------
    >>> EventSelection.model_validate("pay order").activity
    ('pay order',)
    """

    activity: Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(min_length=1)]
    where: Where = {}
    involving: dict[str, Where] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"activity": value} if isinstance(value, str | list | tuple) else value


class ObjectSelection(_Part):
    """Objects of a type; a type's name alone is short for it.

    Attributes
    ----------
    type : str
    where : dict of str to Condition
        What the object's attributes have to be: as of the event where there is one, else their latest values.

    Examples
    --------
    >>> ObjectSelection.model_validate("orders")
    ObjectSelection(type='orders', where={})
    """

    type: str
    where: Where = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"type": value} if isinstance(value, str) else value


class Linked(_Part):
    """The objects of a type that the event's objects of another type have an O2O relation with.

    Attributes
    ----------
    type, of : str
        Objects of ``type`` that are related to the event's objects of the type ``of``.
    o2o : str, optional
        Qualifier of the relation; any where not given.
    direction : {"forward", "backward"}, optional
        Whether relations lead from ``of`` to ``type``, or back; both where not given.

    Examples
    --------
    >>> Linked(type="orders", of="packages", o2o="ships")
    Linked(type='orders', of='packages', o2o='ships', direction=None)
    """

    type: str
    of: str
    o2o: str | None = None
    direction: Literal["forward", "backward"] | None = None


Involved: TypeAlias = Annotated[tuple[str | Linked, ...], BeforeValidator(_one_or_more)]
_ONE_OR_MORE: Final = Count(at_least=1)


class _Rule(_Part):
    """What every rule has.

    Attributes
    ----------
    name : str
        Unique in its file; small letters, digits and ``_``.
    description : str
        What it asks, for a person.
    severity : {"error", "warning"}
        What its failure is.
    tolerance : float
        The share of candidates that may violate it.
    """

    name: Name
    description: str = ""
    severity: Literal["error", "warning"] = "error"
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0


class EventEvents(_Rule):
    """Each event is followed, preceded or accompanied by so many others: an arc of OC-DECLARE.

    Attributes
    ----------
    when, then : EventSelection
        The activation, and its targets.
    order : {"after", "before", "any", "directly after", "directly before"}
        Where targets are (EF, EP, AS, DF, DP). ``directly``: the next event, of whatever activity, with the objects
        asked for is a target. The event itself is never its own target.
    each, all, any : tuple of str or Linked
        Object types. ``each``: for each of the event's objects of the type there are so many targets with it; for
        several types, for each combination. ``all``: a target has all of the event's objects of the type; ``any``: at
        least one.
    count : Count
        How many targets; one or more, where not given.
    within, not_within : timedelta, optional
        A target's time is at most, at least so far away.

    Examples
    --------
    >>> EventEvents(name="paid", when="place order", then="pay order", each="orders", within="30 d").within
    datetime.timedelta(days=30)
    """

    when: EventSelection
    then: EventSelection
    order: Literal["after", "before", "any", "directly after", "directly before"] = "after"
    each: Involved = ()
    all: Involved = ()
    any: Involved = ()
    count: Count = _ONE_OR_MORE
    within: Duration | None = None
    not_within: Duration | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> EventEvents:
        if self.order.startswith("directly") and max(self.count.at_least, self.count.at_most or 0) > 1:
            raise ValueError(f"only one event is {self.order} another: a count of 0 or 1 is possible")
        if self.within is not None and self.not_within is not None and self.within < self.not_within:
            raise ValueError("no time is within less than not_within")
        if self.order == "any" and self.not_within is not None:
            raise ValueError("not_within needs an order: after or before")
        return self


class EventObjects(_Rule):
    """Each event has so many objects of a type.

    Attributes
    ----------
    when : EventSelection
    objects : ObjectSelection
    qualifier : str, optional
        Only objects in this role.
    count : Count
        How many distinct objects; one or more, where not given.

    Examples
    --------
    >>> EventObjects(name="not_empty", when="create package", objects="items").count
    Count(at_least=1, at_most=None)
    """

    when: EventSelection
    objects: ObjectSelection
    qualifier: str | None = None
    count: Count = _ONE_OR_MORE


class EventValues(_Rule):
    """Each event's attributes are as said.

    Examples
    --------
    >>> EventValues(name="positive", when="pay order", holds={"amount": {"above": 0}}).holds
    {'amount': Condition(above=0.0)}
    """

    when: EventSelection
    holds: Annotated[Where, Field(min_length=1)]


class ObjectEvents(_Rule):
    """Each object has so many events (existence, absence, exactly of DECLARE).

    Examples
    --------
    >>> ObjectEvents(name="placed", for_each="orders", events="place order", count=1).count
    Count(at_least=1, at_most=1)
    """

    for_each: ObjectSelection
    events: EventSelection
    count: Count = _ONE_OR_MORE


class ObjectObjects(_Rule):
    """Each object is related to so many others of a type: by taking part in an event together, or by O2O relations.

    Attributes
    ----------
    for_each, objects : ObjectSelection
    sharing : EventSelection, optional
        The events that both take part in.
    o2o : str, optional
        Qualifier of the O2O relation, in either direction. Either this or ``sharing`` is given.
    count : Count
        How many distinct objects, the object itself not counted; one or more, where not given.

    Examples
    --------
    >>> ObjectObjects(name="packed", for_each="items", objects="packages", o2o="contains", count=1).objects.type
    'packages'
    """

    for_each: ObjectSelection
    objects: ObjectSelection
    sharing: EventSelection | None = None
    o2o: str | None = None
    count: Count = _ONE_OR_MORE

    @model_validator(mode="after")
    def _one_way(self) -> ObjectObjects:
        if (self.sharing is None) == (self.o2o is None):
            raise ValueError("say how the objects are related: either sharing (an activity) or o2o (a qualifier)")
        return self


class ObjectEnds(_Rule):
    """Each object's first and last event are as said (init and end of DECLARE); objects without events do not count.

    Examples
    --------
    >>> ObjectEnds(name="starts", for_each="orders", starts_with="place order").ends_with is None
    True
    """

    for_each: ObjectSelection
    starts_with: EventSelection | None = None
    ends_with: EventSelection | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ObjectEnds:
        if self.starts_with is None and self.ends_with is None:
            raise ValueError("say what its events start or end with")
        return self


class ObjectValues(_Rule):
    """Each object's attributes, as they are at the end of the log, are as said.

    Examples
    --------
    >>> ObjectValues(name="priced", for_each="items", holds={"price": {"known": True}}).holds
    {'price': Condition(known=True)}
    """

    for_each: ObjectSelection
    holds: Annotated[Where, Field(min_length=1)]


_SHAPES: Final[tuple[tuple[str, str, type[_Rule]], ...]] = (
    ("when", "then", EventEvents),
    ("when", "objects", EventObjects),
    ("when", "holds", EventValues),
    ("for_each", "events", ObjectEvents),
    ("for_each", "objects", ObjectObjects),
    ("for_each", "starts_with", ObjectEnds),
    ("for_each", "ends_with", ObjectEnds),
    ("for_each", "holds", ObjectValues),
)


def _shape(value: object) -> str | None:
    """Tell a rule's shape by its keys."""
    if not isinstance(value, dict):
        return type(value).__name__
    for subject, required, shape in _SHAPES:
        if subject in value and required in value:
            return shape.__name__
    return None


def _name_fields(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """Let errors name the rule and the field."""
    try:
        return read(value)
    except ValidationError as error:
        shapes = [shape for _, _, shape in _SHAPES]
        hidden = {*(shape.__name__ for shape in shapes), Linked.__name__, "str", "float", "datetime"}
        name = value.get("name", "without a name") if isinstance(value, dict) else value
        said = complaints(error, Union[tuple(shapes)], hidden).removeprefix("the file: ")  # noqa: UP007  # of a list, so no "|"
        raise ValueError(f"rule {name}: {said}") from error


Rule: TypeAlias = Annotated[
    Annotated[EventEvents, Tag("EventEvents")]
    | Annotated[EventObjects, Tag("EventObjects")]
    | Annotated[EventValues, Tag("EventValues")]
    | Annotated[ObjectEvents, Tag("ObjectEvents")]
    | Annotated[ObjectObjects, Tag("ObjectObjects")]
    | Annotated[ObjectEnds, Tag("ObjectEnds")]
    | Annotated[ObjectValues, Tag("ObjectValues")],
    Discriminator(
        _shape,
        custom_error_type="rule_shape",
        custom_error_message="a rule has `when` with `then`, `objects` or `holds`, "
        "or `for_each` with `events`, `objects`, `starts_with`, `ends_with` or `holds`",
    ),
    WrapValidator(_name_fields),
]
"""One rule, of one of the seven shapes."""


class Rules(FileSettings):
    """The rules of one log (``logs/<log_id>.rules.yaml``); none by default.

    Examples
    --------
    >>> paid = {"name": "paid", "when": "place order", "then": "pay order", "each": "orders", "within": "30 d"}
    >>> Rules(rules=[paid]).rules[0].each
    ('orders',)
    """

    rules: tuple[Rule, ...] = ()

    @field_validator("rules")
    @classmethod
    def _unique(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        names = [rule.name for rule in rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name}")
        return rules


def attribute_names(rules: Rules) -> tuple[frozenset[str], frozenset[str]]:
    """Give the names of the event attributes and of the object attributes that rules read.

    Examples
    --------
    >>> early = {"name": "early", "when": {"activity": "pay", "where": {"amount": {"above": 9}}}, "then": "ship"}
    >>> attribute_names(Rules(rules=[early]))
    (frozenset({'amount'}), frozenset())
    """
    of_events: set[str] = set()
    of_objects: set[str] = set()
    for rule in rules.rules:
        if isinstance(rule, EventValues):
            of_events.update(rule.holds)
        if isinstance(rule, ObjectValues):
            of_objects.update(rule.holds)
        for part in _selections(rule):
            (of_events if isinstance(part, EventSelection) else of_objects).update(part.where)
            if isinstance(part, EventSelection):
                of_objects.update(name for where in part.involving.values() for name in where)
    return frozenset(of_events), frozenset(of_objects)


def _selections(rule: _Rule) -> Iterator[EventSelection | ObjectSelection]:
    for name in type(rule).model_fields:
        value = getattr(rule, name)
        if isinstance(value, EventSelection | ObjectSelection):
            yield value

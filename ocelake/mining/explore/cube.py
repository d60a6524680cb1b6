"""Process cubes: the events of a log by dimensions, and the log of each cell.

References
----------
van der Aalst: Process Cubes: Slicing, Dicing, Rolling Up and Drilling Down Event Data for Process Mining (AP-BPM 2013);
Ghahfarokhi, Berti, van der Aalst: Process Comparison Using Object-Centric Process Cubes (2021).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.explore.as_of import values_as_of_events
from ocelake.mining.explore.induced import induced_log
from ocelake.mining.explore.names import check_attribute, check_names
from ocelake.ocel.model import Ocel

__all__ = [
    "ActivityDimension",
    "Dimension",
    "EventAttribute",
    "ObjectAttribute",
    "ObjectTypeDimension",
    "Period",
    "ProcessCube",
    "process_cube",
]

_PERIODS: Final = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "quarter": "%Y-Q", "year": "%Y"}
_STEP: Final = ["event_id", "object_id"]
_MEASURES: Final = ("events", "objects", "event_objects", "first_time", "last_time")


@dataclass(frozen=True, slots=True)
class ActivityDimension:
    """The activity of an event."""

    name: str = "activity"


@dataclass(frozen=True, slots=True)
class ObjectTypeDimension:
    """The type of an object; an event is in the cells of all types that it has, with the objects of that type."""

    name: str = "object_type"


@dataclass(frozen=True, slots=True)
class Period:
    """The period in UTC that an event is in: ``2024-05-01``, ``2024-W18`` (ISO 8601), ``2024-05``, ``2024-Q2``, a year.

    Examples
    --------
    >>> Period("month").name
    'month'
    """

    length: Literal["day", "week", "month", "quarter", "year"]

    @property
    def name(self) -> str:
        """The dimension's name: the length."""
        return self.length


@dataclass(frozen=True, slots=True)
class EventAttribute:
    """The value of an event's attribute; null where it has none.

    Examples
    --------
    >>> EventAttribute("channel").name
    'channel'
    """

    attribute: str

    @property
    def name(self) -> str:
        """The dimension's name: the attribute."""
        return self.attribute


@dataclass(frozen=True, slots=True)
class ObjectAttribute:
    """The value of an object's attribute as of the event.

    An event is in the cells of all values that its objects of the type have; in a cell, it has the objects of the type
    with that value, and all its objects of other types. Null where no object of the type has a value.

    Examples
    --------
    >>> ObjectAttribute("orders", "status").name
    'orders.status'
    """

    object_type: str
    attribute: str

    @property
    def name(self) -> str:
        """The dimension's name: type and attribute, with a dot."""
        return f"{self.object_type}.{self.attribute}"


Dimension: TypeAlias = ActivityDimension | ObjectTypeDimension | Period | EventAttribute | ObjectAttribute
"""What events are told apart by."""


@dataclass(frozen=True, slots=True, eq=False)
class ProcessCube:
    """A log by dimensions.

    Attributes
    ----------
    ocel : Ocel
        The log.
    dimensions : tuple of str
        Names.
    steps : DataFrame
        event_id, object_id (null for an event without objects) and a column of values for each dimension: which
        relations are in which cells.

    See Also
    --------
    process_cube : make one.
    """

    ocel: Ocel
    dimensions: tuple[str, ...]
    steps: pl.DataFrame

    def cells(self) -> pl.DataFrame:
        """Give the cells that are not empty.

        Returns
        -------
        DataFrame
            A column for each dimension; events, objects: distinct ones; event_objects: distinct pairs; first_time,
            last_time. Sorted by the dimensions, nulls first. An event can be in several cells.

        Examples
        --------
        >>> from ocelake.ocel.generate import generate
        >>> cube = process_cube(generate(1_000, seed=1), [Period("year"), ActivityDimension()])
        >>> cube.cells()["events"].sum()
        1000
        """
        times = self.ocel.events.select("event_id", first_time="time", last_time="time")
        return (
            self.steps.join(times, on="event_id")
            .group_by(self.dimensions)
            .agg(
                events=pl.col("event_id").n_unique().cast(pl.Int64),
                objects=pl.col("object_id").drop_nulls().n_unique().cast(pl.Int64),
                event_objects=pl.col("object_id").count().cast(pl.Int64),
                first_time=pl.col("first_time").min(),
                last_time=pl.col("last_time").max(),
            )
            .sort(self.dimensions)
        )

    def slice(self, dimension: str, value: str | None) -> Ocel:
        """Give the log at one value of one dimension.

        Parameters
        ----------
        dimension : str
        value : str or None
            None: the events without a value.

        Raises
        ------
        OcelakeError
            Where the cube has no such dimension.

        Examples
        --------
        >>> from ocelake.ocel.generate import generate
        >>> cube = process_cube(generate(1_000, seed=1), [EventAttribute("channel")])
        >>> cube.slice("channel", "web").events["activity"].unique().to_list()
        ['place order']
        """
        return self.dice({dimension: [value]})

    def dice(self, values: Mapping[str, Collection[str | None]]) -> Ocel:
        """Give the log at some values of some dimensions.

        Parameters
        ----------
        values : mapping of str to collection of (str or None)
            Dimension to the values to keep. Dimensions that are not named are not restricted.

        Returns
        -------
        Ocel
            The events and objects in these cells; relations as `ProcessCube.steps` says.

        Raises
        ------
        OcelakeError
            Where the cube has no such dimension.

        Examples
        --------
        >>> from ocelake.ocel.generate import generate
        >>> cube = process_cube(generate(1_000, seed=1), [Period("year"), ActivityDimension()])
        >>> cube.dice({"activity": ["pay order"], "year": ["2023", "2024"]}).events["activity"].unique().to_list()
        ['pay order']
        """
        if unknown := sorted(set(values).difference(self.dimensions)):
            raise OcelakeError(
                f"The cube has no dimension {unknown[0]!r}.", fix=f"It has: {', '.join(self.dimensions)}."
            )
        wanted = [pl.col(name).is_in(list(kept), nulls_equal=True) for name, kept in values.items()]
        steps = self.steps.filter(wanted)
        related = steps.drop_nulls("object_id")
        return induced_log(self.ocel, events=steps, objects=related, event_objects=related, orphans="keep")


def process_cube(ocel: Ocel, dimensions: Sequence[Dimension]) -> ProcessCube:
    """Arrange a log by dimensions.

    Parameters
    ----------
    ocel : Ocel
    dimensions : sequence of Dimension
        At least one; of different names.

    Raises
    ------
    OcelakeError
        Where there is no dimension or two have one name, or the log does not declare a type or attribute.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> cube = process_cube(generate(1_000, seed=1), [ObjectAttribute("orders", "status"), Period("quarter")])
    >>> cube.dimensions
    ('orders.status', 'quarter')
    """
    names = tuple(dimension.name for dimension in dimensions)
    if not names or len(set(names)) < len(names) or {*names} & {*_STEP, *_MEASURES}:
        raise OcelakeError(
            f"A cube cannot have the dimensions {', '.join(names) or '(none)'}.",
            fix=f"Name one or more, each once, none called {', '.join(_STEP)} or {', '.join(_MEASURES)}.",
        )
    steps = ocel.events.select("event_id").join(ocel.event_objects.select(_STEP).unique(), on="event_id", how="left")
    for dimension in dimensions:
        steps = _with_dimension(ocel, steps, dimension)
    return ProcessCube(ocel, names, steps)


def _with_dimension(ocel: Ocel, steps: pl.DataFrame, dimension: Dimension) -> pl.DataFrame:
    """Add the column of a dimension; a step with several values becomes several."""
    name = dimension.name
    match dimension:
        case ActivityDimension():
            values = ocel.events.select("event_id", pl.col("activity").alias(name))
        case Period(length):
            values = ocel.events.select("event_id", _period(length).alias(name))
        case EventAttribute(attribute):
            check_attribute(ocel, "activity", attribute)
            given = ocel.event_attributes.filter(pl.col("name") == attribute)
            values = given.select("event_id", pl.col("value").alias(name)).unique("event_id", keep="last")
        case ObjectTypeDimension():
            typed = ocel.objects.select("object_id", pl.col("object_type").alias(name))
            return steps.join(typed, on="object_id", how="left")
        case ObjectAttribute(object_type, attribute):
            return _with_object_attribute(ocel, steps, object_type, attribute, name)
    return steps.join(values, on="event_id", how="left")


def _with_object_attribute(
    ocel: Ocel, steps: pl.DataFrame, object_type: str, attribute: str, name: str
) -> pl.DataFrame:
    check_names(ocel, "object_type", [object_type])
    check_attribute(ocel, "object_type", attribute, of=object_type)
    related = ocel.event_objects.filter(object_type=object_type)
    found = values_as_of_events(related, ocel.object_attributes.filter(name=attribute))
    own = found.rename({"value": name})
    of_events = own.select("event_id", name).unique()
    others = steps.join(own, on=_STEP, how="anti").join(of_events, on="event_id", how="left")
    return pl.concat([steps.join(own, on=_STEP), others])


def _period(length: str) -> pl.Expr:
    time = pl.col("time").dt
    period = time.strftime(_PERIODS[length])
    return period + time.quarter().cast(pl.String) if length == "quarter" else period

"""Configuration: where the lake is, and how one log is read.

Nothing is read at import. A lake's settings come from the environment when it is opened; a log's settings from
``logs/<log_id>.yaml`` under the home, so that a person can read and version them.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ocelake.errors import SettingError

__all__ = [
    "INTERVAL",
    "LOG_ID",
    "FileSettings",
    "KpiSettings",
    "LakeSettings",
    "LogSettings",
    "MiningSettings",
    "PriceSettings",
    "Resilience",
    "StreamSettings",
    "WindowSettings",
    "check_log_id",
    "complaints",
    "duration",
    "home_path",
]

LOG_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""What a log may be called: it is a partition, a folder name and a part of publication ids."""


_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
INTERVAL: Final = re.compile(r"[1-9][0-9]{0,4}[smhdw]")


def duration(text: str) -> timedelta:
    """Read a length of time as settings have it: a number and s, m, h, d or w.

    Examples
    --------
    >>> duration("90s").total_seconds()
    90.0
    """
    return int(text[:-1]) * _UNITS[text[-1]]


def home_path(home: str | os.PathLike[str] | None = None) -> Path:
    """Give the folder that holds all state: the argument, else ``OCELAKE_HOME``, else ``.ocelake``; absolute."""
    return Path(home or os.environ.get("OCELAKE_HOME") or ".ocelake").expanduser().resolve()


def check_log_id(log_id: str) -> str:
    """Give the log id back, or refuse it.

    Raises
    ------
    SettingError
        Where it is not letters, digits, ``_`` and ``-``, starting with a letter or digit, 100 at most.
    """
    if not LOG_ID.fullmatch(log_id):
        raise SettingError(
            f"{log_id!r} cannot be the name of a log.",
            fix="Use up to 100 letters, digits, '_' and '-', starting with a letter or digit.",
        )
    return log_id


class Resilience(BaseModel):
    """How patient calls to systems outside are: databases, warehouses, brokers, registries.

    Attributes
    ----------
    seconds : float
        How long a call is made again and again before it is given up.
    first_wait, longest_wait : float
        Seconds between two tries: a random time up to ``first_wait``, then up to twice, four times, ... of it, and
        never more than ``longest_wait``.
    call_seconds : float
        Time-out of one try. It is handed to the client that makes the call, which ends it: a call that is only left
        alone would go on behind its caller's back.
    failures : int
        After so many failures in a row, by all threads of the process, the system is left alone ...
    open_seconds : float
        ... for so long; then the next call tells whether it is back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Annotated[float, Field(gt=0)] = 60.0
    first_wait: Annotated[float, Field(gt=0)] = 0.2
    longest_wait: Annotated[float, Field(gt=0)] = 4.0
    call_seconds: Annotated[float, Field(gt=0)] = 10.0
    failures: Annotated[int, Field(gt=0)] = 5
    open_seconds: Annotated[float, Field(gt=0)] = 5.0

    @classmethod
    def load(cls) -> Resilience:
        """Read ``OCELAKE_RESILIENCE__<NAME>``, such as ``OCELAKE_RESILIENCE__SECONDS``.

        Raises
        ------
        SettingError
            Where there is no such name, or the value does not suit it.
        """
        prefix = "OCELAKE_RESILIENCE__"
        values = {
            name.removeprefix(prefix).lower(): value for name, value in os.environ.items() if name.startswith(prefix)
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingError(
                f"The settings of retries cannot be read: {complaints(error, cls)}.",
                where=", ".join(sorted(prefix + str(item["loc"][0]).upper() for item in error.errors())),
                fix="Correct or unset them.",
            ) from error


class LakeSettings(BaseModel):
    """Where the lake is.

    Attributes
    ----------
    home : Path
        Folder of all local state.
    catalog_uri : str
        SQLAlchemy address (``sqlite:///...``, ``postgresql+psycopg2://...``) or that of a REST catalog (``https://``).
    warehouse : str
        Root of the data files: a local folder or ``s3://bucket/path``.
    catalog_properties : dict of str to str
        Handed to pyiceberg (``s3.endpoint``, ``s3.access-key-id``, ``token``, ...).
    resilience : Resilience
        How long a database or warehouse is waited for that does not answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    catalog_uri: str
    warehouse: str
    catalog_properties: dict[str, str] = Field(default_factory=dict)
    resilience: Resilience = Resilience()

    @classmethod
    def load(cls, home: str | os.PathLike[str] | None = None) -> LakeSettings:
        """Read ``OCELAKE_HOME``, ``OCELAKE_CATALOG_URI``, ``OCELAKE_WAREHOUSE`` and ``OCELAKE_CATALOG__<PROPERTY>``.

        A property's name is in lower case with ``__`` for a dot and ``_`` for a dash:
        ``OCELAKE_CATALOG__S3__ACCESS_KEY_ID`` is ``s3.access-key-id``. Its patience comes from `Resilience.load`.
        """
        root = home_path(home)
        prefix = "OCELAKE_CATALOG__"
        properties = {
            name.removeprefix(prefix).lower().replace("__", ".").replace("_", "-"): value
            for name, value in os.environ.items()
            if name.startswith(prefix)
        }
        return cls(
            home=root,
            catalog_uri=os.environ.get("OCELAKE_CATALOG_URI") or f"sqlite:///{quote(str(root / 'catalog.db'))}",
            warehouse=os.environ.get("OCELAKE_WAREHOUSE") or str(root / "warehouse"),
            catalog_properties=properties,
            resilience=Resilience.load(),
        )

    @property
    def landing(self) -> Path:
        """Folder that files arrive in: ``landing/<log>/<file>``."""
        return self.home / "landing"

    def log(self, log_id: str) -> LogSettings:
        """Read one log's settings; the defaults where it has no file."""
        return LogSettings.load(self.home / "logs" / f"{check_log_id(log_id)}.yaml")

    def mining(self, log_id: str) -> MiningSettings:
        """Read how one log is mined; the defaults where it has no file."""
        return MiningSettings.load(self.home / "logs" / f"{check_log_id(log_id)}.mining.yaml")

    def stream(self, log_id: str) -> StreamSettings:
        """Read which topics one log comes from; none where it has no file."""
        return StreamSettings.load(self.home / "logs" / f"{check_log_id(log_id)}.stream.yaml")

    def streamed_logs(self) -> list[str]:
        """Give the logs that say which topics they come from, sorted."""
        names = (path.name.removesuffix(".stream.yaml") for path in (self.home / "logs").glob("*.stream.yaml"))
        return sorted(name for name in names if LOG_ID.fullmatch(name))

    def kpis(self, log_id: str) -> KpiSettings:
        """Read which live figures one log has; none where it has no file."""
        return KpiSettings.load(self.home / "logs" / f"{check_log_id(log_id)}.kpis.yaml")

    def prices(self, log_id: str) -> PriceSettings:
        """Read how bars are made of one log's prices; the defaults where it has no file."""
        return PriceSettings.load(self.home / "logs" / f"{check_log_id(log_id)}.prices.yaml")


def complaints(error: ValidationError, kind: object, hidden: Collection[str] = ()) -> str:
    """Say what is wrong with a file, field by field and in the file's own terms.

    Parameters
    ----------
    error : ValidationError
    kind : type
        What was to be read, to tell which names could have been meant.
    hidden : collection of str
        Parts of fields' places that the file does not have, such as names of classes.

    Examples
    --------
    >>> try:
    ...     MiningSettings.model_validate({"perod": "day", "executions": "connected"})
    ... except ValidationError as error:
    ...     print(complaints(error, MiningSettings))
    executions: write a list, such as [connected]; perod: there is no such name here, perhaps period is meant
    """
    said = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"] if part not in hidden) or "the file"
        said.append(f"{place}: {_complaint(item['type'], item['msg'], item['loc'], item['input'], kind)}")
    return "; ".join(said)


def _complaint(fault: str, message: str, place: tuple[int | str, ...], given: object, kind: object) -> str:
    match fault:
        case "extra_forbidden":
            name, names = str(place[-1]), sorted(_names(kind))
            if name in names:
                return "this cannot be said here, or not beside the rest"
            near = difflib.get_close_matches(name, names, n=1)
            return "there is no such name here" + (f", perhaps {near[0]} is meant" if near else "")
        case "tuple_type":
            return "write a list" + (f", such as [{given}]" if isinstance(given, str | float) else "")
        case "model_type" | "dict_type":
            return "write names and values, as in {name: value}"
        case "string_type":
            return (
                f"write a text, such as {str(given)!r} in quotes" if isinstance(given, int | float) else "write a text"
            )
        case "missing":
            return "this has to be said"
    return message.removeprefix("Value error, ")


def _names(kind: object) -> set[str]:
    """Give the names of all settings in a model, and in the models within it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        parts = [_names(field.annotation) for field in kind.model_fields.values()]
        return set(kind.model_fields).union(*parts)
    return set().union(*(_names(part) for part in get_args(kind)))


class FileSettings(BaseModel):
    """Settings that live in a YAML file; a missing file gives the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a settings file; a missing one gives the defaults.

        Raises
        ------
        SettingError
            Where the file is not YAML or holds an unknown or wrong setting.
        """
        if not path.exists():
            return cls()
        known = cls.model_fields
        try:
            content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            if isinstance(content, dict):  # a setting with nothing after its colon is not set
                content = {name: value for name, value in content.items() if value is not None or name not in known}
            return cls.model_validate(content)
        except ValidationError as error:
            raise SettingError(
                f"The log's settings cannot be read: {complaints(error, cls)}.",
                where=str(path),
                fix="Correct or remove the file.",
            ) from error
        except (yaml.YAMLError, ValueError) as error:  # YAML's 2024-13-01 is a ValueError, as is what is not UTF-8
            raise SettingError(
                f"The log's settings cannot be read: {error}", where=str(path), fix="Correct or remove the file."
            ) from error

    def save(self, path: Path) -> None:
        """Write the settings that differ from the defaults."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self.model_dump(mode="json", exclude_defaults=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


class LogSettings(FileSettings):
    """How one log is read and judged; the defaults suit a well-formed log.

    Attributes
    ----------
    time_zone : str
        IANA name of the zone of times that have none.
    undeclared_objects : {"quarantine", "infer"}
        Whether a relation to an undeclared object waits in quarantine, or creates the object.
    ties : {"id", "position"}
        Order of equal times with no declared sequence: the event id alone, or the position in the source. Bronze is
        the same for both; it takes effect with the next silver publication.
    earliest, latest : datetime, optional
        The declared range of event times (with a zone); a check fails where an event is outside.
    max_quarantined_share : float
        Above this share of things read, a check warns.
    """

    time_zone: str = "UTC"
    undeclared_objects: Literal["quarantine", "infer"] = "quarantine"
    ties: Literal["id", "position"] = "id"
    earliest: datetime | None = None
    latest: datetime | None = None
    max_quarantined_share: Annotated[float, Field(ge=0, le=1)] = 0.01

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no IANA time zone") from error
        return name

    @field_validator("earliest", "latest")
    @classmethod
    def _zoned(cls, time: datetime | None) -> datetime | None:
        if time is not None and time.tzinfo is None:
            raise ValueError("a declared time range needs a zone, such as 2024-01-01T00:00:00Z")
        return time


class MiningSettings(FileSettings):
    """How one log is mined (``logs/<log_id>.mining.yaml``); the defaults suit a log that nobody has described.

    Attributes
    ----------
    executions : tuple of str
        Kinds of process executions to extract: ``connected``, ``leading:TYPE``.
    execution_types : tuple of str
        Object types that executions are made of; all without. Leave out those whose objects take part in nearly
        everything (employees, products): they make one execution of a whole log, and wait for no case, so that
        bottlenecks leave them out as well.
    execution_equality : {"labelled", "adams"}
        Whether execution variants tell objects apart by their relations, or only the directly-follows edges.
    fall_throughs, strict_sequence_cut : bool
        Flags of the Inductive Miner.
    empty_traces : bool
        Whether objects without events make their type's net skippable.
    variable_arcs : {"strict", "pm4py"}
        When an arc is variable: some event has not exactly one object, or less than 80% of the events have one.
    resource : str, optional
        Event attribute that names who did it. Default: ``org:resource`` or ``resource``, where the log has it.
    resource_type : str, optional
        Object type whose objects did it, instead of an attribute.
    start : str, optional
        Event attribute with the time at which the work of the event began.
    lifecycle : str
        Event attribute with the lifecycle transition (``start``, ``complete``), as XES has it.
    period : {"auto", "day", "week", "month", "quarter", "year"}
        Length of the periods that are compared; ``auto`` takes the shortest that makes 24 periods or fewer.
    """

    executions: tuple[str, ...] = ("connected",)
    execution_types: tuple[str, ...] = ()
    execution_equality: Literal["labelled", "adams"] = "labelled"
    fall_throughs: bool = False
    strict_sequence_cut: bool = False
    empty_traces: bool = False
    variable_arcs: Literal["strict", "pm4py"] = "strict"
    resource: str | None = None
    resource_type: str | None = None
    start: str | None = None
    lifecycle: str = "lifecycle:transition"
    period: Literal["auto", "day", "week", "month", "quarter", "year"] = "auto"

    @field_validator("executions")
    @classmethod
    def _known_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind != "connected" and not kind.startswith("leading:"):
                raise ValueError(f"{kind!r} is no kind of execution: use connected, or leading:TYPE")
        return kinds


class WindowSettings(BaseModel):
    """One kind of windows that a log's events are counted and measured in.

    Attributes
    ----------
    name : str
        What it is called in `gold.event_windows`.
    length : str
        Of a window: a number and s, m, h, d or w.
    step : str, optional
        How far apart windows begin that overlap; as far as they are long without it.
    gap : str, optional
        Instead of both, for sessions: a window ends where so long nothing happens.
    by_activity : bool
        Whether each activity has windows of its own.
    measures : tuple of str
        Event attributes with numbers, to be described beside the number of events.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    length: str | None = None
    step: str | None = None
    gap: str | None = None
    by_activity: bool = False
    measures: tuple[str, ...] = ()

    @field_validator("length", "step", "gap")
    @classmethod
    def _known_lengths(cls, length: str | None) -> str | None:
        if length is not None and not INTERVAL.fullmatch(length):
            raise ValueError(f"{length!r} is no length of a window: use a number and s, m, h, d or w, as in 5m")
        return length

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.gap is None) == (self.length is None) or (self.gap is not None and self.step is not None):
            raise ValueError("say either length, and perhaps step, or gap")
        if len(set(self.measures)) < len(self.measures):
            raise ValueError("a measure is named twice")
        if self.length and self.step and duration(self.step) > duration(self.length):
            raise ValueError("step is at most as long as length: else events between windows would be in none")
        return self


class KpiSettings(FileSettings):
    """Which live figures a log has (``logs/<log_id>.kpis.yaml``); none without the file.

    Attributes
    ----------
    windows : tuple of WindowSettings
        Each has a name of its own.
    """

    windows: tuple[WindowSettings, ...] = ()

    @field_validator("windows")
    @classmethod
    def _told_apart(cls, windows: tuple[WindowSettings, ...]) -> tuple[WindowSettings, ...]:
        names = [window.name for window in windows]
        if len(set(names)) < len(names):
            raise ValueError("two windows have one name")
        return windows

    @property
    def measures(self) -> list[str]:
        """All event attributes that are measured, once each."""
        return list(dict.fromkeys(name for window in self.windows for name in window.measures))


class StreamSettings(FileSettings):
    """Which topics one log comes from (``logs/<log_id>.stream.yaml``), and how often they become a batch.

    Attributes
    ----------
    topics : tuple of str
        Kafka's topics.
    format : {"json", "avro", "protobuf", "prices"}
        What their messages are: events and objects (in Avro and Protobuf with a schema registry), or price ticks.
    max_rows : int
        So many messages are a batch, however little time has passed.
    max_seconds : float
        So long after its first message was read a batch is closed, however small it is.
    """

    topics: tuple[str, ...] = ()
    format: Literal["json", "avro", "protobuf", "prices"] = "json"
    max_rows: Annotated[int, Field(ge=1)] = 200_000
    max_seconds: Annotated[float, Field(gt=0)] = 2.0

    @field_validator("topics")
    @classmethod
    def _each_once(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(topics))


class PriceSettings(FileSettings):
    """How bars are made of a log's prices (``logs/<log_id>.prices.yaml``).

    Attributes
    ----------
    intervals : tuple of str
        Lengths of bars: a number and s, m, h, d or w.
    short, long : int
        Bars that the two moving averages are over.
    volatility : int
        Bars that volatility is over, and that a bar is compared with to tell whether it is unusual.
    threshold : float
        How many standard deviations from their mean it then is.
    """

    intervals: Annotated[tuple[str, ...], Field(min_length=1)] = ("1m", "1h", "1d")
    short: Annotated[int, Field(ge=1, le=1000)] = 5
    long: Annotated[int, Field(ge=1, le=1000)] = 20
    volatility: Annotated[int, Field(ge=2, le=1000)] = 20
    threshold: Annotated[float, Field(gt=0)] = 4.0

    @field_validator("intervals")
    @classmethod
    def _known_intervals(cls, intervals: tuple[str, ...]) -> tuple[str, ...]:
        for interval in intervals:
            if not INTERVAL.fullmatch(interval):
                raise ValueError(f"{interval!r} is no length of a bar: use a number and s, m, h, d or w, as in 5m")
        return intervals

    @property
    def lengths(self) -> dict[str, timedelta]:
        """The intervals as durations, by name.

        Examples
        --------
        >>> PriceSettings(intervals=("90s",)).lengths["90s"].total_seconds()
        90.0
        """
        return {name: duration(name) for name in self.intervals}

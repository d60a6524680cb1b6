"""The domain's exceptions.

Each message says what happened, where, and what to do about it. The CLI prints them without a traceback; an asset
turns them into a failed step. Nothing else in the library is raised on purpose.
"""

from __future__ import annotations

__all__ = [
    "ExportRefused",
    "FeedRefused",
    "LakeError",
    "LogRefused",
    "MessagesLost",
    "NotFound",
    "OcelakeError",
    "OutcomeUnknown",
    "QueryRefused",
    "SettingError",
    "StalePublication",
    "StreamError",
    "Unreachable",
]


class OcelakeError(Exception):
    """An error that a user can act upon.

    Parameters
    ----------
    what : str
        What happened, in one sentence.
    where : str, optional
        The file, table, row, publication or setting it happened at.
    fix : str, optional
        What the reader can do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where else ""
        advice = f" {self.fix}" if self.fix else ""
        return f"{self.what}{place}{advice}"


class LogRefused(OcelakeError):
    """A source is no log, or is broken as a whole: nothing of it was read."""


class ExportRefused(OcelakeError):
    """The target format cannot hold the log; nothing was written."""


class FeedRefused(OcelakeError):
    """What an API answers is no feed of prices: nothing of it was published."""


class SettingError(OcelakeError):
    """A setting is missing or wrong."""


class LakeError(OcelakeError):
    """The catalog or the warehouse refuses."""


class NotFound(LakeError):
    """No such log, table or publication, or no such name in a log."""


class StalePublication(LakeError):
    """Another writer published the same layer of the same log first; compute again from the new state."""


class StreamError(OcelakeError):
    """Kafka, or the schema registry, refuses."""


class MessagesLost(StreamError):
    """Messages are gone from a topic that were not read yet."""


class Unreachable(OcelakeError):
    """A system outside (database, warehouse, broker, registry) did not do its part for as long as it was tried.

    Nothing is broken and nothing was half done: the same call may be made again later.
    """


class OutcomeUnknown(Unreachable):
    """The answer to a commit got lost, and nobody could be asked since: it is made wholly, or not at all.

    Whoever goes on has to look first which of both it is.
    """


class QueryRefused(OcelakeError):
    """A query is not read-only, reaches outside of the lake, or is wrong."""

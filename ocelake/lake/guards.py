"""Which failures of the database and the warehouse pass by themselves, and the guards that know it."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from ocelake.resilience import Guard
from ocelake.settings import LakeSettings

__all__ = ["catalog_guard", "catalog_place", "database_may_recover", "warehouse_guard", "warehouse_may_recover"]

_SQLITE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})

# PostgreSQL's: connection failures, too few resources (its disk is full, too many connections), shutting down or
# starting up, other transactions in the way, and this one being idle for too long.
_POSTGRESQL: Final = ("08", "53", "57P", "40001", "40P01", "55P03", "25P03")

# A server that refuses to be connected to says why as text only. All but these will do so again.
_REFUSAL: Final = "FATAL:"
_PASSING_REFUSALS: Final = (
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting connections",
    "too many clients",
    "connection slots are reserved",
    "terminating connection",
)

_FILES: Final = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EAGAIN,
        errno.ETIMEDOUT,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
    }
)
# Object stores are reached through the AWS SDK, whose errors are texts with one of these in them.
_OBJECT_STORE: Final = (
    "NETWORK_CONNECTION",
    "SLOW_DOWN",
    "SERVICE_UNAVAILABLE",
    "REQUEST_TIMEOUT",
    "INTERNAL_FAILURE",
    "THROTTLING",
)


def catalog_place(settings: LakeSettings) -> str:
    """Give the catalog's address without its password."""
    if settings.catalog_uri.startswith(("http://", "https://")):
        return settings.catalog_uri
    return make_url(settings.catalog_uri).render_as_string(hide_password=True)


def catalog_guard(settings: LakeSettings) -> Guard:
    """Make the guard of a SQL catalog's database."""
    return Guard(
        "catalog",
        catalog_place(settings),
        database_may_recover,
        "Check OCELAKE_CATALOG_URI, and that the database is running and has room; then do it again.",
        settings.resilience,
    )


def warehouse_guard(settings: LakeSettings) -> Guard:
    """Make the guard of what is written to the warehouse."""
    return Guard(
        "warehouse",
        settings.warehouse,
        warehouse_may_recover,
        "Check OCELAKE_WAREHOUSE, and that it is there and has room; then do it again. Nothing was published.",
        settings.resilience,
    )


def database_may_recover(error: BaseException) -> bool:
    """Whether the database may do at another time what it did not do now."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return (getattr(error.orig, "sqlite_errorcode", 0) & 0xFF) in _SQLITE
    code = getattr(error.orig, "pgcode", None)
    if code is not None:
        return str(code).startswith(_POSTGRESQL)
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    said = str(error.orig)
    return isinstance(error, OperationalError) and (
        _REFUSAL not in said or any(reason in said for reason in _PASSING_REFUSALS)
    )


def warehouse_may_recover(error: BaseException) -> bool:
    """Whether a write may succeed at another time: the disk is full or fails, the object store cannot be reached."""
    return isinstance(error, OSError) and (error.errno in _FILES or any(word in str(error) for word in _OBJECT_STORE))

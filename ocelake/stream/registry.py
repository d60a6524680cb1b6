"""The schema registry: schemas by the number that messages carry.

A Confluent-compatible one, over HTTP. A schema that it does not have is a matter of the message; a registry that does
not answer is none, and worth another try.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, Literal

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.common._httpx_compat import httpx  # under one name or another

from ocelake.errors import SettingError, StreamError
from ocelake.resilience import Guard
from ocelake.stream.settings import KafkaSettings

__all__ = ["Registry", "framed", "schema_number"]

_HEAD: Final = struct.Struct(">bI")
"""How a message begins that tells its schema: a zero, and the schema's number."""


class Registry:
    """Gives and takes schemas; what it was told once it does not ask again.

    Parameters
    ----------
    settings : KafkaSettings
        Where the registry is, and how long it is tried.

    Raises
    ------
    SettingError
        Where no registry is named, or a property is of no use.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        properties = {
            "timeout": settings.resilience.call_seconds,
            **settings.registry_client_properties(),
            "max.retries": 0,
        }
        try:
            self._client = SchemaRegistryClient(properties)
        except (ValueError, TypeError, OSError) as error:
            raise SettingError(
                f"The schema registry's client refuses its configuration: {settings.hide(str(error))}.",
                fix="Correct SCHEMA_REGISTRY_... in the environment.",
            ) from error
        self._settings = settings
        self._guard = Guard(
            "schema registry",
            settings.schema_registry_url or "",
            _may_pass,
            "Check SCHEMA_REGISTRY_URL, and that the registry is running.",
            settings.resilience,
        )

    def schema(self, number: int) -> Schema | None:
        """Give a schema; None where the registry has none with this number.

        Raises
        ------
        Unreachable
            Where the registry does not answer.
        StreamError
            Where it refuses.
        """
        with self._telling(f"The schema {number} cannot be read"):
            try:
                return self._guard.call(self._client.get_schema, number)
            except SchemaRegistryError as error:
                if error.http_status_code == HTTPStatus.NOT_FOUND:
                    return None
                raise

    def register(self, topic: str, text: str, kind: Literal["AVRO", "PROTOBUF"]) -> int:
        """Have a schema of a topic's messages, and give its number.

        Raises
        ------
        Unreachable
            Where the registry does not answer.
        StreamError
            Where it refuses, such as a schema that does not go with the topic's former one.
        """
        with self._telling(f"The schema of {topic!r} cannot be registered"):
            return self._guard.call(self._client.register_schema, f"{topic}-value", Schema(text, kind))

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Say what failed where the registry refuses."""
        try:
            yield
        except (SchemaRegistryError, ValueError) as error:
            why = error.error_message if isinstance(error, SchemaRegistryError) else error
            raise StreamError(
                f"{what}: {self._settings.hide(str(why)).rstrip('.')}.",
                where=self._settings.schema_registry_url,
                fix="Check SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO, and the rights of the user.",
            ) from error


def framed(number: int) -> bytes:
    """Give the beginning of a message with this schema."""
    return _HEAD.pack(0, number)


def schema_number(value: bytes) -> tuple[int, int] | None:
    """Give the number of a message's schema, and where its content begins; None where it tells no schema."""
    if len(value) < _HEAD.size or value[0] != 0:
        return None
    return _HEAD.unpack_from(value)[1], _HEAD.size


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, SchemaRegistryError):
        return (
            error.http_status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            or error.http_status_code == HTTPStatus.TOO_MANY_REQUESTS
        )
    return isinstance(error, httpx.TransportError)

"""Configuration of Kafka's clients and of the schema registry's.

Nothing is read at import. Values may be secrets, whatever their names are: none is shown in a representation, a log or
an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from ocelake.errors import SettingError
from ocelake.settings import Resilience, complaints

__all__ = ["KafkaSettings"]

_KAFKA: Final = ("KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_", "KAFKA_SSL_")
_REGISTRY: Final = ("SCHEMA_REGISTRY_BASIC_AUTH_", "SCHEMA_REGISTRY_BEARER_AUTH_", "SCHEMA_REGISTRY_SSL_")
_ANY: Final = "OCELAKE_KAFKA__"
_SECRETS: Final = re.compile("password|secret|token|pem$|config$|user.info$")


class KafkaSettings(BaseModel):
    """Where the brokers and the schema registry are, and how to be let in.

    Attributes
    ----------
    bootstrap_servers : str, optional
        ``host:port``, several with commas.
    properties : dict of str to SecretStr
        Handed to librdkafka (``security.protocol``, ``sasl.mechanism``, ``ssl.ca.location``, ``client.id``, ...).
    schema_registry_url : str, optional
        ``http://`` or ``https://``, without credentials.
    registry_properties : dict of str to SecretStr
        Handed to the registry's client (``basic.auth.user.info``, ``ssl.ca.location``, ...).
    resilience : Resilience
        How long brokers and registry are waited for that do not answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: str | None = None
    properties: dict[str, SecretStr] = Field(default_factory=dict)
    schema_registry_url: str | None = None
    registry_properties: dict[str, SecretStr] = Field(default_factory=dict)
    resilience: Resilience = Resilience()

    @field_validator("schema_registry_url")
    @classmethod
    def _without_credentials(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("the address of a schema registry begins with http:// or https://")
        if url is not None and "@" in url:
            raise ValueError("name user and password apart from the address, in SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO")
        return url

    @classmethod
    def load(cls) -> KafkaSettings:
        """Read the environment.

        ``KAFKA_BOOTSTRAP_SERVERS``; ``KAFKA_SECURITY_PROTOCOL``, ``KAFKA_SASL_<NAME>`` and ``KAFKA_SSL_<NAME>``; any
        property of librdkafka as ``OCELAKE_KAFKA__<PROPERTY>``; ``SCHEMA_REGISTRY_URL``,
        ``SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO`` (``user:password``) and ``SCHEMA_REGISTRY_SSL_<NAME>``. A property's
        name is in lower case with ``_`` for a dot: ``KAFKA_SASL_USERNAME`` is ``sasl.username``. Their patience comes
        from `Resilience.load`.

        Raises
        ------
        SettingError
            Where a value is of no use.
        """
        given = {name: value for name, value in os.environ.items() if value}
        try:
            return cls(
                bootstrap_servers=given.get("KAFKA_BOOTSTRAP_SERVERS"),
                properties=_named(given, "KAFKA_", _KAFKA) | _named(given, _ANY, (_ANY,)),
                schema_registry_url=given.get("SCHEMA_REGISTRY_URL"),
                registry_properties=_named(given, "SCHEMA_REGISTRY_", _REGISTRY),
                resilience=Resilience.load(),
            )
        except ValidationError as error:
            raise SettingError(
                f"Kafka's settings are wrong: {complaints(error, cls)}.", fix="Correct the environment."
            ) from error

    def client_properties(self) -> dict[str, str]:
        """Give the properties of a client, secrets included.

        Raises
        ------
        SettingError
            Where no broker is named.
        """
        if not self.bootstrap_servers:
            raise SettingError(
                "No Kafka broker is named.", where="KAFKA_BOOTSTRAP_SERVERS", fix="Set it to host:port of a broker."
            )
        return {"bootstrap.servers": self.bootstrap_servers, **_revealed(self.properties)}

    def registry_client_properties(self) -> dict[str, str]:
        """Give the properties of the schema registry's client, secrets included.

        Raises
        ------
        SettingError
            Where no registry is named.
        """
        if not self.schema_registry_url:
            raise SettingError(
                "No schema registry is named.",
                where="SCHEMA_REGISTRY_URL",
                fix="Set it to the registry's address: Avro and Protobuf messages tell their schema by a number in it.",
            )
        return {"url": self.schema_registry_url, **_revealed(self.registry_properties)}

    def hide(self, text: str) -> str:
        """Give a text, such as a client's message, without the secrets that stand in it."""
        for name, value in (*self.properties.items(), *self.registry_properties.items()):
            if _SECRETS.search(name):
                whole = value.get_secret_value()
                for secret in (whole, whole.partition(":")[2] if name == "basic.auth.user.info" else ""):
                    text = text.replace(secret, str(value)) if secret else text
        return text


def _named(given: Mapping[str, str], prefix: str, wanted: tuple[str, ...]) -> dict[str, SecretStr]:
    return {
        name.removeprefix(prefix).lower().replace("_", "."): SecretStr(value)
        for name, value in given.items()
        if name.startswith(wanted)
    }


def _revealed(properties: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in properties.items()}

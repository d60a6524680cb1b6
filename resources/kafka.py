"""Kafka as a resource."""

from functools import cached_property

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from dagster import ConfigurableResource
from pydantic import Field

from ocelake.stream import client
from ocelake.stream.settings import KafkaSettings

__all__ = ["KafkaResource"]


class KafkaResource(ConfigurableResource[KafkaSettings]):
    """Makes clients of the brokers that the configuration names, else of those of the environment.

    Passwords belong into the environment (``KAFKA_SASL_PASSWORD``, ...): Dagster shows configuration to everyone.
    """

    bootstrap_servers: str | None = Field(default=None, description="host:port, several with commas.")
    properties: dict[str, str] = Field(default_factory=dict, description="Further properties of librdkafka, no secret.")
    schema_registry_url: str | None = Field(default=None, description="Address of the schema registry.")

    @cached_property
    def settings(self) -> KafkaSettings:
        """What the configuration and the environment say."""
        settings = KafkaSettings.load()
        changes = {"bootstrap_servers": self.bootstrap_servers, "schema_registry_url": self.schema_registry_url}
        given = settings.model_dump() | {name: value for name, value in changes.items() if value is not None}
        return KafkaSettings.model_validate({**given, "properties": {**settings.properties, **self.properties}})

    def producer(self) -> Producer:
        """Make a producer; see `ocelake.stream.client.producer`."""
        return client.producer(self.settings)

    def consumer(self, group: str) -> Consumer:
        """Make a consumer of a group; see `ocelake.stream.client.consumer`."""
        return client.consumer(self.settings, group)

    def admin(self) -> AdminClient:
        """Make a client for topics and groups."""
        return client.admin(self.settings)

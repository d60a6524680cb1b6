"""The registry of trained models as a resource."""

from functools import cached_property

from dagster import ConfigurableResource
from pydantic import Field

from ocelake.registry import Registry, open_registry
from ocelake.settings import LakeSettings

__all__ = ["MlflowResource"]


class MlflowResource(ConfigurableResource[Registry]):
    """Opens the MLflow that the configuration names, else the one of the environment (``OCELAKE_MLFLOW_URI``, ...)."""

    tracking_uri: str | None = Field(default=None, description="Address of MLflow: a server or a database; no secret.")
    artifacts: str | None = Field(default=None, description="Root of the models' files; a server knows its own.")

    @cached_property
    def _registry(self) -> Registry:
        return open_registry(LakeSettings.load(), uri=self.tracking_uri, artifacts=self.artifacts)

    def open(self) -> Registry:
        """Give the registry; it asks MLflow at its first call."""
        return self._registry

"""The Iceberg lake as a resource."""

from functools import cached_property

from dagster import ConfigurableResource
from pydantic import Field

from ocelake.lake import Lake, open_lake
from ocelake.settings import LakeSettings

__all__ = ["LakeResource"]


class LakeResource(ConfigurableResource[Lake]):
    """Opens the lake that the configuration names, else the one of the environment (``OCELAKE_HOME``, ...)."""

    home: str | None = Field(default=None, description="Folder of all local state; OCELAKE_HOME, else .ocelake.")
    catalog_uri: str | None = Field(default=None, description="SQLAlchemy or REST address of the Iceberg catalog.")
    warehouse: str | None = Field(default=None, description="Root of the data files: a folder, or s3://bucket/path.")
    catalog_properties: dict[str, str] = Field(default_factory=dict, description="Further pyiceberg properties.")

    @cached_property
    def _lake(self) -> Lake:
        settings = LakeSettings.load(self.home)
        changes: dict[str, object] = {
            name: value
            for name, value in (("catalog_uri", self.catalog_uri), ("warehouse", self.warehouse))
            if value is not None
        }
        changes["catalog_properties"] = {**settings.catalog_properties, **self.catalog_properties}
        return open_lake(settings=settings.model_copy(update=changes))

    def open(self) -> Lake:
        """Give the lake; opened at the first call."""
        return self._lake

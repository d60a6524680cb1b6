"""The API that prices come from as a resource."""

from dagster import ConfigurableResource
from pydantic import Field, SecretStr

from ocelake.stream.prices import PriceApi, PriceApiSettings

__all__ = ["PriceApiResource"]


class PriceApiResource(ConfigurableResource[PriceApi]):
    """Reaches the API that the configuration names, else the one of the environment (``COMMODITY_API_URL``, ...)."""

    url: str | None = Field(default=None, description="The API's address; COMMODITY_API_URL.")
    key: str | None = Field(default=None, description="The API's key; COMMODITY_API_KEY.")

    def open(self) -> PriceApi:
        """Give the API; nothing is asked of it yet."""
        if self.url is None:
            return PriceApi(PriceApiSettings.load())
        return PriceApi(PriceApiSettings(url=self.url, key=SecretStr(self.key) if self.key else None))

"""The Iceberg edge: versioned tables of many logs, published layer by layer.

What belongs elsewhere: which tables there are (`ocelake.tables`) and what their rows mean (`ocelake.ocel`,
`ocelake.mining`).
"""

from ocelake.lake.lake import Lake, open_lake
from ocelake.lake.publication import Publication
from ocelake.lake.records import PublicationRecord

__all__ = ["Lake", "Publication", "PublicationRecord", "open_lake"]

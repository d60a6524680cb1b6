"""From the table registry to Iceberg: schema with column documentation, partitions, sort order, table properties.

What belongs elsewhere: creating and evolving the tables (`ocelake.lake.tables`), writing rows (`ocelake.lake.files`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from itertools import count
from typing import Final

import polars as pl
from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from ocelake.tables import TIMESTAMP, TableSpec

__all__ = ["TABLE_PROPERTIES", "iceberg_schema", "iceberg_type", "partition_spec", "registry_fingerprint", "sort_order"]

TABLE_PROPERTIES: Final = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # A commit writes one metadata file and reads one back; older ones serve nobody but a reader that is mid-way.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # Each publication adds a manifest per table; merged at 20, so that planning and committing stay flat.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    # A conflict is resolved by staging the whole publication again, never table by table.
    "commit.retry.num-retries": "0",
}
"""Properties of every table of the lake."""

_PRIMITIVES: Final[Mapping[pl.DataType, IcebergType]] = {
    pl.String(): StringType(),
    pl.Int64(): LongType(),
    pl.Int32(): IntegerType(),
    pl.Float64(): DoubleType(),
    pl.Float32(): FloatType(),
    pl.Boolean(): BooleanType(),
    TIMESTAMP: TimestamptzType(),
}


def iceberg_type(dtype: pl.DataType | pl.datatypes.DataTypeClass, ids: count[int] | None = None) -> IcebergType:
    """Give the Iceberg type of a Polars type.

    Parameters
    ----------
    dtype : polars.DataType
        One of those that the registry uses; lists and structs of them.
    ids : itertools.count, optional
        Where the ids of nested fields come from.

    Raises
    ------
    TypeError
        For a type that has no counterpart here.
    """
    ids = count(1) if ids is None else ids
    dtype = dtype() if isinstance(dtype, type) else dtype
    if isinstance(dtype, pl.List):
        element_id = next(ids)
        return ListType(element_id, iceberg_type(dtype.inner, ids), element_required=False)
    if isinstance(dtype, pl.Struct):
        numbered = [(next(ids), field) for field in dtype.fields]
        return StructType(*(NestedField(i, f.name, iceberg_type(f.dtype, ids), required=False) for i, f in numbered))
    if dtype not in _PRIMITIVES:
        raise TypeError(f"{dtype} has no Iceberg type here")
    return _PRIMITIVES[dtype]


@cache
def iceberg_schema(spec: TableSpec) -> Schema:
    """Give a table's Iceberg schema; the catalog assigns the field ids anew."""
    ids = count(len(spec.columns) + 1)
    fields = [
        NestedField(
            number,
            column.name,
            iceberg_type(spec.schema[column.name], ids),
            required=column.required,
            doc=column.doc,
        )
        for number, column in enumerate(spec.columns, start=1)
    ]
    return Schema(*fields)


def partition_spec(spec: TableSpec, schema: Schema) -> PartitionSpec:
    """Give the identity partitions of a table: the log, and the bucket where it has one."""
    ids = [schema.find_field(name).field_id for name in spec.partition]
    return PartitionSpec(
        *(
            PartitionField(field_id, PARTITION_FIELD_ID_START + place, IdentityTransform(), name)
            for place, (field_id, name) in enumerate(zip(ids, spec.partition, strict=True))
        )
    )


def sort_order(spec: TableSpec, schema: Schema) -> SortOrder:
    """Give the order of rows within a file, as Iceberg declares it."""
    ids = [schema.find_field(name).field_id for name in spec.sort if name not in spec.partition]
    return SortOrder(*(SortField(field_id, IdentityTransform()) for field_id in ids))


def registry_fingerprint(tables: Mapping[str, TableSpec]) -> str:
    """Hash everything of the registry that shows in the catalog, to tell at once whether the tables are up to date."""
    content = repr((list(tables.values()), sorted(TABLE_PROPERTIES.items())))
    return hashlib.sha256(content.encode()).hexdigest()[:32]

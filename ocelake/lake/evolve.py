"""Bring the catalog up to the registry: create what is missing, add what a table lacks.

Nothing is rewritten, dropped or retyped: rows that are older than a column hold null there. A column may cease to be
required, and does not become so again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from sqlalchemy.exc import IntegrityError

from ocelake.errors import LakeError
from ocelake.lake.schema import (
    TABLE_PROPERTIES,
    iceberg_schema,
    iceberg_type,
    partition_spec,
    registry_fingerprint,
    sort_order,
)
from ocelake.tables import TableSpec

__all__ = ["ensure_tables"]

_NAMESPACE: Final = "lake"
_FINGERPRINT: Final = "ocelake.registry"
_ATTEMPTS: Final = 10


def ensure_tables(catalog: Catalog, registry: Mapping[str, TableSpec]) -> None:
    """Create and evolve all tables of the registry; one look-up where they are up to date already.

    Several processes may do so at once.
    """
    fingerprint = registry_fingerprint(registry)
    if _fingerprint(catalog) == fingerprint:
        return
    for namespace in sorted({_NAMESPACE, *(spec.namespace for spec in registry.values())}):
        _create_namespace(catalog, namespace)
    for spec in registry.values():
        _ensure(catalog, spec)
    catalog.update_namespace_properties(_NAMESPACE, updates={_FINGERPRINT: fingerprint})


def _fingerprint(catalog: Catalog) -> str | None:
    try:
        return catalog.load_namespace_properties(_NAMESPACE).get(_FINGERPRINT)
    except NoSuchNamespaceError:
        return None


def _create_namespace(catalog: Catalog, namespace: str) -> None:
    try:
        catalog.create_namespace(namespace, {"exists": "true"})
    except (NamespaceAlreadyExistsError, IntegrityError):
        return


def _ensure(catalog: Catalog, spec: TableSpec) -> None:
    for _ in range(_ATTEMPTS):
        try:
            table = catalog.load_table(spec.identifier)
        except NoSuchTableError:
            try:
                _create(catalog, spec)
            except TableAlreadyExistsError:
                continue
            return
        try:
            _evolve(table, spec)
        except CommitFailedException:
            continue
        return
    raise LakeError(
        "The table keeps changing while its schema is brought up to date.", where=spec.identifier, fix="Try again."
    )


def _create(catalog: Catalog, spec: TableSpec) -> Table:
    schema = iceberg_schema(spec)
    return catalog.create_table(
        spec.identifier,
        schema,
        partition_spec=partition_spec(spec, schema),
        sort_order=sort_order(spec, schema),
        properties={**TABLE_PROPERTIES, "comment": spec.doc},
    )


def _evolve(table: Table, spec: TableSpec) -> None:
    present = {field.name: field for field in table.schema().fields}
    wanted = {**TABLE_PROPERTIES, "comment": spec.doc}
    wanted.pop("format-version")  # fixed at creation, and no property after it
    properties = {name: value for name, value in wanted.items() if table.properties.get(name) != value}
    missing = [column for column in spec.columns if column.name not in present]
    redocumented = [c for c in spec.columns if c.name in present and present[c.name].doc != c.doc]
    loosened = [c for c in spec.columns if c.name in present and present[c.name].required and not c.required]
    order = [name for name in spec.sort if name not in spec.partition]
    names = {field.field_id: name for name, field in present.items()}
    reordered = [names[field.source_id] for field in table.sort_order().fields] != order
    if not (properties or missing or redocumented or loosened or reordered):
        return
    with table.transaction() as transaction:
        if properties:
            transaction.set_properties(properties)
        if missing or redocumented or loosened:
            with transaction.update_schema() as update:
                for column in missing:
                    # Older rows have no value, so it cannot be required of the table as a whole.
                    update.add_column(column.name, iceberg_type(spec.schema[column.name]), doc=column.doc)
                for column in redocumented:
                    update.update_column(column.name, doc=column.doc)
                for column in loosened:
                    update.update_column(column.name, required=False)
        if reordered:  # of what is written from now on: files are read in any order
            with transaction.update_sort_order() as update_order:
                for name in order:
                    update_order.asc(name, IdentityTransform())

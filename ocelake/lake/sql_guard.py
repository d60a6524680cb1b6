"""What a person's SQL may do: one query, nothing else.

DuckDB's own parser decides, not a pattern: a statement is taken apart by it, and each node of the syntax tree has to be
known. The kind of statement is not enough, since a SELECT may write a file from within a CTE
(``WITH x AS (COPY ... TO ...)``) or read one through a table function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import duckdb
import orjson

from ocelake.errors import QueryRefused
from ocelake.tables import TABLES

__all__ = ["Inspected", "inspect_query"]

_QUERY_NODES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

_TABLE_FUNCTIONS: Final = frozenset(
    {
        "duckdb_columns",
        "duckdb_functions",
        "duckdb_keywords",
        "duckdb_schemas",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
        "generate_series",
        "json_each",
        "json_tree",
        "pg_timezone_names",
        "pragma_table_info",
        "pragma_version",
        "range",
        "repeat",
        "repeat_row",
        "unnest",
    }
)
"""Table functions that touch nothing outside of the query; every other one is refused, also those of later versions."""

_EXPLAIN: Final = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*EXPLAIN(?:\s+ANALYZE\b)?(?:\s*\([^()]*\))?(?=\W)", re.IGNORECASE | re.DOTALL
)

_FILE: Final = re.compile(r"[/\\:*?.]")
"""What a file's address has, and a table's name does not need."""

_READ_ONLY: Final = "Only one query is allowed here: SELECT, WITH, FROM, VALUES, EXPLAIN, DESCRIBE, SUMMARIZE or SHOW."


@dataclass(frozen=True, slots=True)
class Inspected:
    """A query that may run.

    Attributes
    ----------
    sql : str
        Its text, without what follows a semicolon.
    tables : frozenset of tuple of str
        The names that it reads, in lower case, each with the schema where it is written; names of CTEs are among them.
        Every one is a CTE of the query or a relation of the connection: DuckDB would take any other for a file.
    """

    sql: str
    tables: frozenset[tuple[str, ...]]


def inspect_query(connection: duckdb.DuckDBPyConnection, sql: str) -> Inspected:
    """Take a query apart, and refuse what is not a plain query.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        For its parser and the relations that it has; nothing of the query is run.
    sql : str
        What a person wrote.

    Raises
    ------
    QueryRefused
        Where it is no SQL, not one statement, anything but a query, or reads something that is no table.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryRefused(_first_lines(error), where="SQL", fix="Correct the query's syntax.") from error
    if len(statements) != 1:
        raise QueryRefused(f"There are {len(statements)} statements.", where="SQL", fix=_READ_ONLY)
    statement = statements[0]
    text = statement.query
    if statement.type == duckdb.StatementType.EXPLAIN:
        # The tree of an EXPLAIN cannot be had, that of the query within it can.
        head = _EXPLAIN.match(text)
        tree = _tree(connection, text[head.end() :]) if head else None
    elif statement.type == duckdb.StatementType.SELECT:
        tree = _tree(connection, text)
    elif statement.type == duckdb.StatementType.MULTI:
        raise QueryRefused(
            "A PIVOT whose columns depend on the data is no single query.",
            where="SQL",
            fix="Name the values: PIVOT ... ON column IN ('a', 'b').",
        )
    else:
        raise QueryRefused(f"{statement.type.name} is not read-only.", where="SQL", fix=_READ_ONLY)
    if tree is None:
        raise QueryRefused("The statement is not a plain query.", where="SQL", fix=_READ_ONLY)
    tables = frozenset(_names(tree))
    _check_tables(tables, frozenset(_ctes(tree)), _relations(connection))
    return Inspected(text, tables)


def _tree(connection: duckdb.DuckDBPyConnection, text: str) -> Any | None:
    row = connection.execute("SELECT json_serialize_sql($1::VARCHAR, skip_null := true)", [text]).fetchall()[0]
    answer = orjson.loads(row[0])
    return None if answer["error"] or len(answer["statements"]) != 1 else answer["statements"][0]


def _names(node: Any) -> Iterator[tuple[str, ...]]:
    """Walk the tree; give the tables, refuse unknown nodes."""
    if isinstance(node, list):
        for item in node:
            yield from _names(item)
    elif isinstance(node, dict):
        kind = node.get("type")
        if isinstance(kind, str):
            if kind.endswith("_NODE") and kind not in _QUERY_NODES:
                action = kind.removesuffix("_QUERY_NODE").removesuffix("_NODE")
                raise QueryRefused(f"{action} within a query is not read-only.", where="SQL", fix=_READ_ONLY)
            if kind == "TABLE_FUNCTION":
                function = str(node["function"].get("function_name", "")).lower()
                if function not in _TABLE_FUNCTIONS:
                    raise QueryRefused(
                        f"The table function {function!r} is not available.",
                        where="SQL",
                        fix="Query the lake's tables; files outside of it cannot be read.",
                    )
            if kind == "BASE_TABLE":
                path = node.get("qualified_name", {}).get("path", [])
                if path:
                    yield tuple(str(part).lower() for part in path)
        for item in node.values():
            yield from _names(item)


def _ctes(node: Any) -> Iterator[str]:
    """Give the names of all CTEs, in lower case."""
    if isinstance(node, list):
        for item in node:
            yield from _ctes(item)
    elif isinstance(node, dict):
        if isinstance(ctes := node.get("cte_map"), dict):
            yield from (str(entry["key"]).lower() for entry in ctes.get("map", ()))
        for item in node.values():
            yield from _ctes(item)


def _relations(connection: duckdb.DuckDBPyConnection) -> frozenset[tuple[str, ...]]:
    """Give schema and name of every view and table there is, DuckDB's own ones among them."""
    rows = connection.execute(
        "SELECT lower(schema_name), lower(view_name) FROM duckdb_views()"
        " UNION ALL SELECT lower(schema_name), lower(table_name) FROM duckdb_tables()"
    ).fetchall()
    return frozenset(rows)


def _check_tables(
    tables: frozenset[tuple[str, ...]], ctes: frozenset[str], relations: frozenset[tuple[str, ...]]
) -> None:
    """Refuse names that are neither relations nor CTEs.

    A CTE whose name may be a file's is refused, too: outside of its scope it would be read as one.
    """
    names = {name for _, name in relations}
    for table in sorted(tables):
        *schema, name = table
        if table[-2:] in relations or (not schema and name in names):
            continue
        shown = ".".join(table)
        if any(_FILE.search(part) for part in table):
            raise QueryRefused(
                f"There is no table {shown}, and it is no name for one.",
                where="SQL",
                fix="Query the lake's tables; nothing else can be read.",
            )
        if name in ctes and schema in ([], ["recurring"]):
            continue
        listed = sorted({*TABLES, "lake.publications"})
        near = get_close_matches(shown, listed, n=1, cutoff=0.6)
        hint = f"Do you mean {near[0]}? " if near else ""
        raise QueryRefused(f"There is no table {shown}.", where="SQL", fix=f"{hint}The tables are {', '.join(listed)}.")


def _first_lines(error: Exception) -> str:
    """Give DuckDB's message without its class name and without its list of candidate functions."""
    text = str(error).partition("\n\tCandidate functions")[0].strip()
    return re.sub(r"^[A-Za-z]+ Error: ", "", text)

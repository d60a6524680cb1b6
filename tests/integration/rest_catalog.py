"""A minimal REST catalog server over a SQL catalog: the endpoints that pyiceberg calls."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import CommitTableRequest, Table

_STATUS = {
    NoSuchNamespaceError: 404,
    NoSuchTableError: 404,
    NamespaceAlreadyExistsError: 409,
    TableAlreadyExistsError: 409,
    CommitFailedException: 409,
}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: else each answer waits for an acknowledgement
    disable_nagle_algorithm = True
    catalog: ClassVar[SqlCatalog]
    lock: ClassVar[threading.Lock] = threading.Lock()

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        path = urlsplit(self.path).path
        for method, pattern, function in ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                try:
                    with self.lock:
                        status, content = 200, function(self.catalog, body, *match.groups())
                except tuple(_STATUS) as error:
                    status, content = _STATUS[type(error)], _error(error, _STATUS[type(error)])
                break
        else:
            status, content = 404, _error(NoSuchTableError(path), 404)
        text = b"" if self.command == "HEAD" else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_HEAD = _answer  # noqa: N815  # the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


def _error(error: Exception, code: int) -> dict[str, Any]:
    return {"error": {"message": str(error), "type": type(error).__name__, "code": code}}


def _shown(table: Table) -> dict[str, Any]:
    return {
        "metadata-location": table.metadata_location,
        "metadata": json.loads(table.metadata.model_dump_json()),
        "config": {},
    }


def _create_namespace(catalog: SqlCatalog, body: bytes) -> dict[str, Any]:
    request = json.loads(body)
    catalog.create_namespace(tuple(request["namespace"]), request["properties"])
    return request


def _namespace(catalog: SqlCatalog, _: bytes, name: str) -> dict[str, Any]:
    return {"namespace": [name], "properties": catalog.load_namespace_properties(name)}


def _update_namespace(catalog: SqlCatalog, body: bytes, name: str) -> dict[str, Any]:
    summary = catalog.update_namespace_properties(name, updates=json.loads(body)["updates"])
    return {"removed": summary.removed, "updated": summary.updated, "missing": summary.missing}


def _create_table(catalog: SqlCatalog, body: bytes, namespace: str) -> dict[str, Any]:
    request = CreateTableRequest.model_validate({"location": None, **json.loads(body)})
    table = catalog.create_table(
        (namespace, request.name),
        request.table_schema,
        request.location,
        request.partition_spec,
        request.write_order,
        request.properties,
    )
    return _shown(table)


def _load_table(catalog: SqlCatalog, _: bytes, namespace: str, name: str) -> dict[str, Any]:
    return _shown(catalog.load_table((namespace, name)))


def _commit(catalog: SqlCatalog, body: bytes, namespace: str, name: str) -> dict[str, Any]:
    request = CommitTableRequest.model_validate_json(body)
    table = catalog.load_table((namespace, name))
    done = catalog.commit_table(table, request.requirements, request.updates)
    return {"metadata-location": done.metadata_location, "metadata": json.loads(done.metadata.model_dump_json())}


_Route = tuple[str, str, Callable[..., Any]]
ROUTES: list[_Route] = [
    ("GET", "/v1/config", lambda *_: {"defaults": {}, "overrides": {}}),
    ("POST", "/v1/namespaces", _create_namespace),
    ("GET", "/v1/namespaces/([^/]+)", _namespace),
    ("HEAD", "/v1/namespaces/([^/]+)", _namespace),
    ("POST", "/v1/namespaces/([^/]+)/properties", _update_namespace),
    ("POST", "/v1/namespaces/([^/]+)/tables", _create_table),
    ("GET", "/v1/namespaces/([^/]+)/tables/([^/]+)", _load_table),
    ("HEAD", "/v1/namespaces/([^/]+)/tables/([^/]+)", _load_table),
    ("POST", "/v1/namespaces/([^/]+)/tables/([^/]+)", _commit),
]


def serve(catalog: SqlCatalog) -> ThreadingHTTPServer:
    """Answer on a free port of the loopback interface, in the background, until ``shutdown``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"catalog": catalog}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True, name="rest-catalog").start()
    return server

"""Fixtures that start real services on the loopback interface."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from tests.conftest import skip_or_fail

_UNPRIVILEGED = ("postgres", "nobody")


def postgres_programs() -> Path | None:
    """Give the folder of PostgreSQL's server programs, where they are installed."""
    asked = shutil.which("pg_config")
    folders = [Path(subprocess.check_output([asked, "--bindir"], text=True).strip())] if asked else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged() -> dict[str, str]:
    """PostgreSQL refuses to run as root: name a user that it may run as."""
    if os.geteuid() != 0:
        return {}
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return {"user": next(name for name in _UNPRIVILEGED if name in known)}


class PostgresServer:
    """A private PostgreSQL server that may be stopped and started; its port and data stay."""

    def __init__(self) -> None:
        programs = postgres_programs()
        if programs is None:
            skip_or_fail("postgres", "needs PostgreSQL's server programs (initdb, postgres)")
        self.port = free_port()
        self._programs, self._user = programs, _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="ocelake-pg-"))
        if self._user:
            shutil.chown(self._folder, self._user["user"])
        self._server: subprocess.Popen[bytes] | None = None
        options = ["-U", "ocelake", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run([programs / "initdb", "-D", self._folder / "data", *options], check=True, **self._run())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        place = ["-D", self._folder / "data", "-k", self._folder, "-h", "127.0.0.1", "-p", str(self.port)]
        options = ["-c", "fsync=off", "-c", "max_connections=200"]
        self._server = subprocess.Popen([self._programs / "postgres", *place, *options], **self._run())
        _wait(self.port, self._server)

    def stop(self) -> None:
        """Stop it, and cut its connections."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)  # SIGTERM waits for connections that tests left open
            self._server.wait(60)
            self._server = None

    def remove(self) -> None:
        """Stop it, and delete its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self) -> str:
        """Give the address of a new, empty database."""
        return _new_database(self.port)

    def _run(self) -> dict[str, Any]:
        return {"cwd": self._folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **self._user}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A private PostgreSQL server; call it for the address of a new, empty database."""
    server = PostgresServer()
    try:
        server.start()
        yield server.new_database
    finally:
        server.remove()


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL server that tests may stop, if they start it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "PostgreSQL ended at once"
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="ocelake", dbname="postgres").close()
        except psycopg2.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("PostgreSQL does not answer")


def _new_database(port: int) -> str:
    name = f"lake_{uuid4().hex}"
    connection = psycopg2.connect(host="127.0.0.1", port=port, user="ocelake", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return f"postgresql+psycopg2://ocelake@127.0.0.1:{port}/{name}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def catalog_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty SQL catalog, for each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    return str(request.getfixturevalue("postgres")())


@pytest.fixture
def s3_bucket() -> Iterator[dict[str, str]]:
    """An S3 server on the loopback interface with the bucket ``lake``: pyiceberg's properties for it."""
    server_module = pytest.importorskip("moto.server", reason="needs moto's S3 server")
    boto3 = pytest.importorskip("boto3")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="lake")
    yield {
        "s3.endpoint": endpoint,
        "s3.access-key-id": "key",
        "s3.secret-access-key": "secret",
        "s3.region": "us-east-1",
    }
    server.stop()

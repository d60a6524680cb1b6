"""The catalog's database goes away while it is used: each publication is made once, or not at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from ocelake.errors import OutcomeUnknown, Unreachable
from ocelake.lake import Lake, open_lake
from ocelake.metrics import REGISTRY
from ocelake.settings import LakeSettings, Resilience
from tests.integration.conftest import PostgresServer
from tests.integration.faults import Proxy, proxied
from tests.integration.lake_processes import ingest_named
from tests.lake_frames import events, publish_silver, state

pytestmark = pytest.mark.postgres


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[Proxy]:
    with proxied(postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
def lake(proxy: Proxy, postgres_server: PostgresServer, tmp_path: Path) -> Lake:
    uri = postgres_server.new_database().replace(str(postgres_server.port), str(proxy.port))
    return opened(tmp_path, uri)


def opened(home: Path, uri: str, **patience: float) -> Lake:
    quick = {"seconds": 20.0, "first_wait": 0.05, "longest_wait": 0.3, "open_seconds": 0.2, **patience}
    warehouse = str(home / "warehouse")
    settings = LakeSettings(home=home, catalog_uri=uri, warehouse=warehouse, resilience=Resilience(**quick))
    lake = open_lake(settings=settings)
    lake.ensure_tables()
    return lake


def files(lake: Lake) -> set[str]:
    return {str(path) for path in Path(lake.settings.warehouse).rglob("*.parquet")}


def again(lake: Lake, **patience: float) -> Lake:
    """The same lake, opened anew."""
    return opened(lake.settings.home, lake.settings.catalog_uri, **patience)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_that_is_cut_is_made_once(lake: Lake, proxy: Proxy, cut) -> None:
    publish_silver(lake, "A", 3, "a")
    proxy.cut = cut
    record = publish_silver(lake, "A", 5, "b")
    assert proxy.cuts == 1
    assert record.publication_id == "A.silver.2"
    assert lake.publications("A")["publication_id"].to_list() == ["A.silver.1", "A.silver.2"]
    assert state(again(lake), "A") == (5, {"b"}, 5)
    assert lake.latest("A", "silver") == record


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_batch_whose_commit_is_cut_is_there_once(lake: Lake, proxy: Proxy, tmp_path: Path, cut) -> None:
    for n in range(3):
        proxy.cut = cut
        done = ingest_named(lake, tmp_path, f"n{n}-")
        assert not done.already
        assert done.publication is not None
        assert done.publication.number == n + 1
    assert proxy.cuts == 3
    shown = again(lake).read("bronze.event_records", "A")
    assert (shown.height, shown["event_id"].n_unique()) == (75, 75)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_files_stay_while_it_is_not_known_whether_they_are_published(lake: Lake, proxy: Proxy, cut) -> None:
    publish_silver(lake, "A", 3, "a")
    impatient = again(lake, seconds=1)
    proxy.cut, proxy.then = cut, "everything"
    with pytest.raises(OutcomeUnknown, match=r"A\.silver\.2") as error:
        publish_silver(impatient, "A", 5, "b")
    assert error.value.fix
    proxy.cut = "nothing"
    time.sleep(0.3)  # until the database is asked again
    old, new = (3, {"a"}, 3), (5, {"b"}, 5)
    assert state(again(lake), "A") == (new if cut == "after" else old)


def test_nothing_stays_of_what_was_certainly_not_published(lake: Lake, proxy: Proxy) -> None:
    publish_silver(lake, "A", 3, "a")
    before = files(lake)
    impatient = again(lake, seconds=1)
    with impatient.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(9, "b"))
        proxy.cut = "everything"
        impatient.store.catalog.engine.dispose()
        with pytest.raises(Unreachable) as error:
            publication.commit()
    assert not isinstance(error.value, OutcomeUnknown)
    assert error.value.where.startswith("postgresql")
    proxy.cut = "nothing"
    assert files(lake) == before
    time.sleep(0.3)
    assert state(again(lake), "A") == (3, {"a"}, 3)


def test_writers_go_on_when_the_database_is_back(postgres_server: PostgresServer, tmp_path: Path) -> None:
    uri = postgres_server.new_database()
    writers = 3
    opened(tmp_path, uri)

    def write(writer: int) -> None:
        lake = opened(tmp_path, uri, seconds=60)
        for n in range(12):
            ingest_named(lake, tmp_path, f"w{writer}n{n}-", f"L{n % 2}")
            time.sleep(0.05)

    with ThreadPoolExecutor(writers) as pool:
        written = [pool.submit(write, writer) for writer in range(writers)]
        for _ in range(2):
            time.sleep(1)
            postgres_server.stop()
            time.sleep(1.5)
            postgres_server.start()
        for done in written:
            done.result()
    lake = opened(tmp_path, uri)
    for log in ("L0", "L1"):
        shown = lake.read("bronze.event_records", log)
        assert (shown.height, shown["event_id"].n_unique()) == (writers * 6 * 25, writers * 6 * 25)
        numbers = lake.publications(log, "bronze")["number"].to_list()
        assert numbers == list(range(1, writers * 6 + 1))
    place = lake.store.catalog.guard.place
    assert REGISTRY.get_sample_value("ocelake_retries_total", {"system": "catalog", "place": place}) > 0


def test_a_writer_that_is_cut_off_gives_the_lock_back(lake: Lake, postgres_server: PostgresServer, monkeypatch) -> None:
    monkeypatch.setattr("ocelake.lake.catalog._IDLE_SECONDS", 1)
    with suppress(OperationalError), lake.store.catalog.exclusive():
        began = time.monotonic()
        publish_silver(again(lake), "A", 3, "a")
        assert 0.5 < time.monotonic() - began < 10
    assert state(lake, "A") == (3, {"a"}, 3)


def test_a_database_that_accepts_but_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"postgresql+psycopg2://ocelake@127.0.0.1:{silent.getsockname()[1]}/lake"
        began = time.monotonic()
        with pytest.raises(Unreachable, match="timeout"):
            opened(tmp_path, uri, seconds=1, call_seconds=2)
        assert time.monotonic() - began < 10


def test_a_refusal_is_told_at_once(postgres_server: PostgresServer, tmp_path: Path) -> None:
    uri = postgres_server.new_database()
    began = time.monotonic()
    with pytest.raises(Exception, match="does not exist"):
        opened(tmp_path, uri.replace("/lake_", "/no_"))
    assert time.monotonic() - began < 5

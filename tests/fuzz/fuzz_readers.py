"""Fuzz every reader with damaged logs: each is read or refused, in time, and nothing else happens.

Run as ``python tests/fuzz/fuzz_readers.py SECONDS``; it needs the ``fuzz`` extra (atheris). A finding is left in the
current folder as ``crash-...``, ``timeout-...`` or ``oom-...``; give its path as a second argument to run it again.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ocelake.ocel"]):
    from ocelake.errors import LogRefused
    from ocelake.ocel import json_chunks, json_reader, sqlite_reader, tables_reader, xes_reader, xml_reader  # noqa: F401  # instrumented
    from ocelake.ocel.generate import generate
    from ocelake.ocel.read import open_log
    from ocelake.ocel.write import write_log

# Short inputs are to go the way of long ones.
json_chunks._FEW = 0

FOLDER = b"FOLDER\n"
"""A folder of tables as one input: after this mark, each file begins with a line ``==== name``."""

OCEL1_JSON = b"""{"ocel:global-log": {"ocel:version": ["1.0"], "ocel:object-types": ["t"]}, "ocel:events": {"e":
{"ocel:activity": "a", "ocel:timestamp": "2024-01-01T00:00:00Z", "ocel:omap": ["o"], "ocel:vmap": {"x": [1.50]}}},
"ocel:objects": {"o": {"ocel:type": "t", "ocel:ovmap": {"y": null}}},
"ocel:objectChanges": [{"ocel:oid": "o", "y": 1}]}"""
OCEL1_XML = b"""<log><global scope="log"><list key="object-types"><string key="object-type" value="t"/></list></global>
<events><event><string key="id" value="e"/><string key="activity" value="a"/><date key="timestamp" value="2024-01-01"/>
<list key="omap"><string key="object-id" value="o"/></list><list key="vmap"><float key="x" value="1.5"/></list></event>
</events><objects><object><string key="id" value="o"/>
<string key="type" value="t"/><list key="ovmap"/></object></objects>
</log>"""
OCEL1_CSV = b"ocel:eid,ocel:activity,ocel:timestamp,ocel:type:t,x\n1,a,2024-01-01,\"['o', 'p']\",5\n2,b,2024-01-02,,\n"
XES = b"""<log xes.version="1.0"><extension name="Concept" prefix="concept" uri="http://x"/><global scope="event">
<string key="concept:name" value="n"/></global><trace><string key="concept:name" value="c"/><event>
<string key="concept:name" value="a"/><date key="time:timestamp" value="2024-01-01T00:00:00Z"/><int key="i" value="5"/>
<list key="l"><values><string key="v" value="w"/></values></list></event></trace></log>"""
TABLES = (
    FOLDER
    + b"""==== event.csv
ocel_id,ocel_type
e,a
==== object.csv
ocel_id,ocel_type
o,t
==== event_map_type.csv
ocel_type,ocel_type_map
a,A
==== event_A.csv
ocel_id,ocel_time,x
e,2024-01-01,5
==== object_map_type.csv
ocel_type,ocel_type_map
t,T
==== object_T.csv
ocel_id,ocel_time,y,ocel_changed_field
o,1970-01-01,1,
==== event_object.csv
ocel_event_id,ocel_object_id,ocel_qualifier
e,o,q
"""
)
OCEL1_SQLITE = """CREATE TABLE EVENTS ("ocel:eid", "ocel:activity", "ocel:timestamp", x);
CREATE TABLE OBJECTS ("ocel:oid", "ocel:type", y); CREATE TABLE RELATIONS ("ocel:eid", "ocel:oid", "ocel:type");
INSERT INTO EVENTS VALUES ('e', 'a', '2024-01-01', 5); INSERT INTO OBJECTS VALUES ('o', 't', 1.5);
INSERT INTO RELATIONS VALUES ('e', 'o', 't');"""


def write_seeds(corpus: Path) -> None:
    """Write a small log in each format."""
    log = generate(6, 1)
    for ending in ("json", "xml", "sqlite"):
        write_log(log, corpus / f"ocel2.{ending}")
    for name, content in (("json", OCEL1_JSON), ("xml", OCEL1_XML), ("csv", OCEL1_CSV), ("xes", XES), ("dir", TABLES)):
        (corpus / f"ocel1.{name}").write_bytes(content)
    with sqlite3.connect(corpus / "ocel1.sqlite") as connection:
        connection.executescript(OCEL1_SQLITE)
    connection.close()


def unfold(data: bytes, place: Path) -> None:
    """Write an input as the file, or the folder of tables, that it stands for."""
    if not data.startswith(FOLDER):
        place.write_bytes(data)
        return
    place.mkdir()
    for part in data.removeprefix(FOLDER).split(b"==== ")[1:]:
        name, _, content = part.partition(b"\n")
        safe = "".join(letter for letter in name.decode("ascii", "ignore") if letter.isalnum() or letter in "._")
        if safe.strip("."):
            (place / safe[:80]).write_bytes(content)


def test_one_input(data: bytes) -> None:
    """Read an input; anything but a log or a refusal is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "log"
        unfold(data, place)
        try:
            for _ in open_log(place):
                pass
        except LogRefused:
            pass


def main(seconds: str = "60", *again: str) -> None:
    """Fuzz for some seconds, or run one finding again."""
    corpus = Path(tempfile.mkdtemp(prefix="ocelake-fuzz-"))
    write_seeds(corpus)
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=200000"]
    atheris.Setup([sys.argv[0], *limits, *(again or [str(corpus)])], test_one_input)
    # It ends the process, so that the seeds stay in the system's temporary folder.
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Silver that follows new batches is the silver that all batches give at once."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.lake.build import silver_tables
from ocelake.lake.records import PublicationRecord
from ocelake.lake.silver_changes import silver_changes
from ocelake.ocel.conform import conform
from ocelake.ocel.model import frame_schema
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD
from ocelake.settings import LogSettings
from ocelake.tables import TABLES

NO_TYPES = '{"event_types":{},"object_types":{}}'
SOME_TYPES = '{"event_types":{"a":{"n":"float"}},"object_types":{"o":{"size":"integer"}}}'
SETTINGS = LogSettings()
BRONZE = ("bronze.event_records", "bronze.object_records", "bronze.batches")


class Memory:
    """The tables of one log in memory, read as `Lake` reads them."""

    def __init__(self) -> None:
        self.tables = {name: frame_schema(name).to_frame() for name in BRONZE}

    def moment(self, as_of: object) -> object:
        return as_of

    def scan(self, identifier: str, log_id: str, *, as_of: object = None) -> pl.LazyFrame:
        return self.tables[identifier].lazy()

    def read(self, identifier: str, log_id: str, *, as_of: object = None) -> pl.DataFrame:
        return self.tables[identifier]

    def record(self, layer: str) -> PublicationRecord:
        rows = {name: len(frame) for name, frame in self.tables.items() if TABLES[name].layer == layer}
        kept = SETTINGS.model_dump(mode="json")
        return PublicationRecord(
            f"log.{layer}.1", "log", layer, 1, datetime(2024, 1, 1, tzinfo=UTC), rows=rows, settings=kept
        )  # type: ignore[arg-type]

    def land(self, number: int, events: list[dict], objects: list[dict], declarations: str) -> None:
        """Add a batch to bronze."""
        batch_id = f"batch{number:02}"
        batch = {
            "batch_id": batch_id,
            "source": "topic",
            "format": "json",
            "content_hash": batch_id,
            "event_records": len(events),
            "object_records": len(objects),
            "declarations": declarations,
            "metadata": '{"from":"x"}' if number % 3 == 0 else "{}",
            "received": datetime(2024, 1, 1, tzinfo=UTC),
        }
        if number % 4:  # a file else
            batch |= {
                "topic": "t",
                "partition": number % 2,
                "first_offset": 10 * number,
                "last_offset": 10 * number + 9,
            }
        for name, rows, schema in (
            ("bronze.event_records", events, EVENT_RECORD),
            ("bronze.object_records", objects, OBJECT_RECORD),
            ("bronze.batches", [batch], frame_schema("bronze.batches")),
        ):
            numbered = [{"position": place, **row} for place, row in enumerate(rows)]
            frame = pl.DataFrame(numbered if name != "bronze.batches" else rows, schema=schema)
            own = frame if name == "bronze.batches" else frame.with_columns(batch_id=pl.lit(batch_id))
            self.tables[name] = pl.concat([self.tables[name], own.select(self.tables[name].columns)])

    def whole(self) -> dict[str, pl.DataFrame]:
        """Compute silver as a whole."""
        return silver_tables(conform(*(self.tables[name] for name in BRONZE), SETTINGS))


def follow(memory: Memory) -> bool:
    """Change silver by what came to bronze; tell whether it could be done without the rest."""
    changes = silver_changes(memory, memory.record("silver"), memory.record("bronze"), SETTINGS)  # type: ignore[arg-type]
    if changes is None:
        memory.tables.update(memory.whole())
        return False
    for name, (went, came) in changes.tables.items():
        kept = memory.tables[name].join(went, on=went.columns, how="anti", nulls_equal=True)
        assert len(kept) == len(memory.tables[name]) - len(went), name
        memory.tables[name] = pl.concat([kept, came])
    return True


def compare(memory: Memory) -> None:
    for name, frame in memory.whole().items():
        order = [column for column in TABLES[name].key if column not in TABLES[name].partition] or frame.columns
        assert_frame_equal(memory.tables[name].sort(order), frame.sort(order)), name


ids = st.sampled_from(["1", "2", "3", "4", " ", None])
object_ids = st.sampled_from(["p", "q", "r", "s", "t"])
values = st.sampled_from(["1", "2.5", "x", "true", None])
native = st.sampled_from([None, None, "integer", "float", "string"])
times = st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "never", None])


def attribute(name: str) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({"name": st.just(name), "time": st.none(), "value": values, "value_type": native})


relationships = st.lists(
    st.fixed_dictionaries(
        {"object_id": object_ids, "qualifier": st.sampled_from(["", "of"]), "object_type": st.none()}
    ),
    max_size=3,
)
common = {
    "version": st.sampled_from([None, 1, 2, 3]),
    "relationships": relationships,
    "declared": st.sampled_from([True, True, True, False]),
    "defect": st.sampled_from([None] * 9 + ["malformed"]),
    "raw": st.none(),
}
events = st.fixed_dictionaries(
    {
        "event_id": ids,
        "activity": st.sampled_from(["a", "b"]),
        "time": times,
        "sequence": st.none(),
        "attributes": st.lists(attribute("n"), max_size=2),
        **common,
    }
)
objects = st.fixed_dictionaries(
    {
        "object_id": object_ids,
        "object_type": st.sampled_from(["o", "o", "o", "i"]),
        "attributes": st.lists(attribute("size"), max_size=2),
        **common,
    }
)
batches = st.tuples(
    st.lists(events, max_size=4), st.lists(objects, max_size=4), st.sampled_from([NO_TYPES] * 6 + [SOME_TYPES])
)


def background() -> tuple[list[dict], list[dict]]:
    """Give enough records that a few more are a small share of them."""
    plain = {"version": None, "declared": True, "defect": None, "raw": None, "attributes": []}
    things = [{"object_id": f"o{i}", "object_type": "o", "relationships": [], **plain} for i in range(60)]
    happened = [
        {
            "event_id": f"e{i}",
            "activity": "ab"[i % 2],
            "time": "2024-01-01T12:00:00Z",
            "sequence": None,
            "relationships": [{"object_id": f"o{i % 60}", "qualifier": "", "object_type": None}],
            **plain,
        }
        for i in range(60)
    ]
    return happened, things


@settings(max_examples=60)
@given(st.lists(batches, min_size=1, max_size=6), st.data())
def test_batches_one_after_the_other_give_what_all_give_at_once(sequence: list, data: st.DataObject) -> None:
    memory = Memory()
    memory.land(data.draw(st.sampled_from([0, 50, 99])), *background(), NO_TYPES)
    memory.tables.update(memory.whole())
    for number, batch in enumerate(data.draw(st.permutations(sequence)), start=1):
        memory.land(number, *batch)
        if data.draw(st.booleans()):
            follow(memory)
            compare(memory)
    follow(memory)
    compare(memory)


def test_what_usually_comes_is_computed_without_the_rest() -> None:
    memory = Memory()
    memory.land(0, *background(), NO_TYPES)
    memory.tables.update(memory.whole())
    plain = {"version": None, "declared": True, "defect": None, "raw": None, "attributes": [], "relationships": []}
    early = {"event_id": "n1", "activity": "a", "time": "2023-01-01T00:00:00Z", "sequence": None, **plain}
    early["relationships"] = [{"object_id": name, "qualifier": "", "object_type": None} for name in ("o1", "late")]
    late = {"object_id": "late", "object_type": "o", **plain}
    corrected = {**early, "version": 9, "activity": "b"}
    for number, batch in enumerate((([early], []), ([], [late]), ([corrected, early], [])), start=1):
        memory.land(number, *batch, NO_TYPES)
        assert follow(memory)
        compare(memory)
    assert memory.tables["ocel.event_objects"].filter(event_id="n1")["object_id"].sort().to_list() == ["late", "o1"]
    reasons = memory.tables["silver.quarantine"]["reason"].sort().to_list()
    assert reasons == ["duplicate", "duplicate", "duplicate", "superseded", "superseded", "superseded"]


def test_an_attribute_is_no_longer_one_of_the_type_that_its_event_has_left() -> None:
    memory = Memory()
    memory.land(0, *background(), NO_TYPES)
    memory.tables.update(memory.whole())
    plain = {"sequence": None, "defect": None, "raw": None, "relationships": []}
    value = {"name": "n", "time": None, "value": "1", "value_type": "string"}
    apart = {"event_id": "n1", "activity": "b", "time": None, "version": None, "declared": False, **plain}
    event = {"event_id": "n1", "time": "2024-01-01T00:00:00Z", "declared": True, "attributes": [], **plain}
    first, corrected = ({"activity": kind, "version": version, **event} for kind, version in (("b", 1), ("a", 2)))
    for number, batch in enumerate(([{"attributes": [value], **apart}, first], [corrected]), start=1):
        memory.land(number, batch, [], NO_TYPES)
        follow(memory)
        compare(memory)
    assert memory.tables["ocel.event_type_attributes"]["activity"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("told", "corrected", "published"),
    [
        (("5", "string"), ("5", "integer"), "integer"),
        (("2.0", "float"), ("2", "integer"), "integer"),
        (("true", "string"), ("true", "boolean"), "boolean"),
    ],
)
@pytest.mark.parametrize("thing", ["event", "object"])
def test_a_corrected_value_that_looks_the_same_may_need_another_type(
    thing: str, told: tuple[str, str], corrected: tuple[str, str | None], published: str
) -> None:
    memory = Memory()
    memory.land(0, *background(), NO_TYPES)
    memory.tables.update(memory.whole())
    plain = {"declared": True, "defect": None, "raw": None, "relationships": []}
    kinds = {
        "event": {"event_id": "n1", "activity": "a", "time": "2024-01-01T00:00:00Z", "sequence": None},
        "object": {"object_id": "n1", "object_type": "o"},
    }
    for number, (value, native) in enumerate((told, corrected), start=1):
        attributes = [{"name": "n", "time": None, "value": value, "value_type": native}]
        record = {**kinds[thing], "version": number, "attributes": attributes, **plain}
        memory.land(number, [record] if thing == "event" else [], [record] if thing == "object" else [], NO_TYPES)
        follow(memory)
        compare(memory)
    assert memory.tables[f"ocel.{thing}_type_attributes"]["value_type"].to_list() == [published]


def test_an_event_told_again_without_a_change_of_its_values_leaves_the_rest_alone() -> None:
    memory = Memory()
    memory.land(0, *background(), NO_TYPES)
    plain = {"sequence": None, "defect": None, "raw": None, "relationships": [], "declared": True}
    kinds = {"1": "integer", "x": "string"}
    values = [{"name": "n", "time": None, "value": value, "value_type": kind} for value, kind in kinds.items()]
    events = [
        {"event_id": f"n{place}", "activity": "a", "version": 1, "attributes": [value], **plain}
        for place, value in enumerate(values)
    ]
    days = [f"2024-01-0{day}T00:00:00Z" for day in (1, 2)]
    memory.land(1, [{**event, "time": days[0]} for event in events], [], NO_TYPES)
    memory.tables.update(memory.whole())
    assert memory.tables["ocel.event_type_attributes"]["value_type"].to_list() == ["string"]
    memory.land(2, [{**events[0], "version": 2, "time": days[1]}], [], NO_TYPES)
    assert follow(memory)  # its number needs no text, but another event does as before
    compare(memory)

"""Pictures: well-formed whatever the names, the same for the same frames, true to the numbers, connected."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.draw import draw_ocdfg, draw_timeline, draw_variants
from ocelake.draw.arcs import Arc, arcs_of
from ocelake.draw.axis import ticks as axis_ticks
from ocelake.draw.layout import Box, Line, lay_out
from ocelake.draw.order import process_order
from ocelake.draw.svg import human_count, human_duration, shorten, text_width, wrap
from ocelake.mining import mine_log
from tests.unit.reference_mining import Log

HOSTILE = [
    *("<b>&amp;", 'say "hi"', "it's \\N \\n", "a\x00\x08b", "two\nlines", "", " ", "结账 🛒 ü", "]]>", "%s {x}"),
    "n" * 300,
]


def mined(names: list[str], *, objects: int = 3) -> dict[str, pl.DataFrame]:
    """Mine a log in which every object goes through the activities in order, one more of them back to the first."""
    steps = [*names, names[0]]
    events = {f"e{place}": (name, place * 3_600_000_000, 0) for place, name in enumerate(steps)}
    things = {f"o{n}": names[n % len(names)] for n in range(objects)} | {"idle": "type"}
    relations = [
        (event, f"o{n}", "") for n in range(objects) for event in (list(events) if n == 0 else list(events)[:-1])
    ]
    log = Log(events, things, relations)
    tables = log.tables()
    return mine_log(tables, quarantined=0, publication_id="p") | {"ocel.events": tables["ocel.events"]}


def words(picture: str) -> list[str]:
    """Give all text of a picture; fails where it is not XML."""
    return [element.text or "" for element in ElementTree.fromstring(picture).iter() if element.tag.endswith("text")]


def hovers(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter() if element.tag.endswith("title")]


def pictures(tables: dict[str, pl.DataFrame]) -> list[str]:
    return [
        draw_ocdfg(tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"]),
        draw_ocdfg(tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"], coverage=0.5),
        draw_variants(tables["gold.trace_variants"]),
        draw_timeline(tables["ocel.events"]),
    ]


def test_pictures_are_well_formed_whatever_the_names() -> None:
    whole, *others = pictures(mined(HOSTILE, objects=len(HOSTILE)))
    assert all(words(picture) for picture in others)
    shown = words(whole)
    assert {"<b>&amp;", 'say "hi"', "it's \\N \\n", "a\ufffd\ufffdb", "two lines", "结账 🛒 ü", "]]>", "%s {x}"} <= set(
        shown
    )


def test_the_same_frames_in_any_order_give_the_same_picture() -> None:
    tables = mined(["place", "pick", "ship", "pay"])
    shuffled = {name: frame.sample(fraction=1, shuffle=True, seed=3) for name, frame in tables.items()}
    assert pictures(tables) == pictures(shuffled)


def test_nothing_to_draw_is_a_picture_too() -> None:
    tables = {name: frame.clear() for name, frame in mined(["a"]).items()}
    for picture in pictures(tables):
        assert words(picture)


def test_the_ocdfg_tells_counts_times_types_and_loops() -> None:
    log = Log(
        {
            "e1": ("place", 0, 0),
            "e2": ("pick", 7_200_000_000, 0),
            "e3": ("pick", 7_200_000_000 + 90_000_000, 0),
            "e4": ("audit", 9_000_000_000, 0),
        },
        {f"o{n}": "order" for n in range(1200)},
        [(event, f"o{n}", "") for event in ("e1", "e2", "e3") for n in range(1200)],
    )
    tables = mine_log(log.tables(), quarantined=0, publication_id="p")
    picture = draw_ocdfg(tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"])
    shown = words(picture)
    assert {"place", "pick", "audit", "1,200", "2 h", "1,200, 1.5 min", "order (1,200)"} <= set(shown)
    assert "order: place → pick, 1,200 objects, 2 h on average" in hovers(picture)
    assert shown.count("order") == 2, "a start and an end"


def test_boxes_do_not_overlap_and_lines_end_at_their_boxes() -> None:
    boxes = {name: Box(60 + 10 * place, 30 + 4 * place) for place, name in enumerate("abcdef")}
    lines = [Line(a, b, Box(30, 26), 1, a > b) for a, b in ["ab", "bc", "ca", "ad", "de", "ef", "fa", "ac", "be"]]
    layout = lay_out(boxes, lines)
    for one, two in combinations(boxes, 2):
        (x1, y1), (x2, y2) = layout.boxes[one], layout.boxes[two]
        apart_x = abs(x1 - x2) - (boxes[one].width + boxes[two].width) / 2
        apart_y = abs(y1 - y2) - (boxes[one].height + boxes[two].height) / 2
        assert max(apart_x, apart_y) >= 0
    for line, (curve, tip, _) in zip(lines, layout.lines, strict=True):
        for key, (x, y) in ((line.source, curve[0]), (line.target, tip)):
            centre, box = layout.boxes[key], boxes[key]
            assert abs(x - centre[0]) <= box.width / 2 + 2
            assert abs(y - centre[1]) <= box.height / 2 + 2
        assert (len(curve) - 1) % 3 == 0, "cubic Bézier curves"
    heights = [layout.boxes[key][1] for key in "abcdef"]
    assert heights[0] == min(heights), "lines that lead back do not pull their target down"


def test_a_large_graph_is_cut_to_a_readable_one() -> None:
    names = [f"activity {place}" for place in range(60)]
    arcs = [
        ("order", names[a], names[b], 1000 // (1 + abs(b - a - 1) * 7), 60.0)
        for a in range(60)
        for b in range(60)
        if (a * 7 + b * 3) % 5 == 0 or b == a + 1
    ]
    edges = pl.DataFrame(
        arcs, schema=["object_type", "source", "target", "total_objects", "duration_mean"], orient="row"
    )
    nodes = pl.DataFrame(
        [("order", name, 10, 5 * (name == names[0]), 5 * (name == names[-1])) for name in names]
        + [(None, name, 10, None, None) for name in names],
        schema=["object_type", "activity", "events", "start_objects", "end_objects"],
        orient="row",
    )
    assert len(arcs_of(nodes, edges)) > 700
    picture = draw_ocdfg(nodes, edges)
    assert picture.count("<path") <= 150
    assert re.search(r"\d+ of 60 activities, 1 of 1 object types, \d+ of \d+ edges", picture)


def test_activities_are_ordered_as_the_process_goes() -> None:
    way = ["place", "pick", "ship", "pay"]
    arcs = [Arc("item", a, b, 100, None) for a, b in pairwise(way)]
    arcs += [Arc("employee", b, a, 900, None) for a, b in pairwise(way)]
    arcs += [Arc("employee", a, b, 890, None) for a, b in pairwise(way)]
    rank = process_order(arcs)
    assert sorted(rank, key=rank.__getitem__) == way


def test_variants_show_the_most_frequent_first_and_count_the_rest() -> None:
    frame = pl.DataFrame(
        {
            "object_type": ["order"] * 20,
            "variant_id": [f"{place:016x}" for place in range(20)],
            "activities": [[], ["place"] * 3 + ["pay"], *[[f"step {n} of many words" for n in range(90)]] * 18],
            "objects": [5, 100, *range(2, 20)],
            "share": [number / 300 for number in [5, 100, *range(2, 20)]],
            "duration_mean": [None, 60.0, *[3600.0] * 18],
        }
    )
    shown = words(draw_variants(frame, most=4))
    assert shown.index("33%") < shown.index("6.3%")
    assert "place ×3" in shown
    assert any(re.fullmatch(r"\+ \d\d more", word) for word in shown)
    assert any("20 variants, the 4 most frequent hold" in word for word in shown)
    assert "no events" in words(draw_variants(frame.head(1)))


@pytest.mark.parametrize("days", [0, 0.01, 1, 30, 400, 9000])
def test_the_timeline_counts_every_event_once(days: float) -> None:
    start = datetime(2024, 2, 29, 23, 30, tzinfo=UTC)
    times = [start + timedelta(days=days) * place / 99 for place in range(100)]
    frame = pl.DataFrame({"activity": [f"activity {place % 11}" for place in range(100)], "time": times})
    picture = draw_timeline(frame, bins=24)
    counts = [int(found[1]) for title in hovers(picture) if (found := re.search(r": (\d+) events from", title))]
    assert sum(counts) == 100
    assert "4 other activities" in words(picture)


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # a zone is given below
    st.timedeltas(timedelta(seconds=1), timedelta(days=200_000)),
)
def test_an_axis_has_a_few_ticks_within_it(first: datetime, span: timedelta) -> None:
    first = first.replace(tzinfo=UTC)
    ticks = [tick for tick, _ in axis_ticks(first, first + span)]
    assert len(ticks) <= 10
    assert ticks == sorted(set(ticks))
    assert all(first <= tick <= first + span for tick in ticks)


def test_numbers_are_written_for_people() -> None:
    assert [human_count(number) for number in (0, 950, 12_345, 1_230_000)] == ["0", "950", "12,345", "1.23M"]
    durations = [None, 0, 0.0001, 0.25, 90, 86_300, 200_000, 40_000_000, 10**10]
    written = ["", "0 s", "< 1 ms", "250 ms", "1.5 min", "1 d", "2.3 d", "1.3 y", "317 y"]
    assert [human_duration(seconds) for seconds in durations] == written


def test_text_is_cut_to_its_width() -> None:
    assert shorten("short", 100, 12) == "short"
    cut = shorten("a very long name of an activity", 80, 12)
    assert cut.endswith("…")
    assert text_width(cut, 12) <= 80
    lines = wrap("Completion certificate requested by the applicant in writing once more", 120, 13)
    assert len(lines) == 3
    assert all(text_width(line, 13) <= 120 for line in lines)

"""Pictures: well-formed whatever the names, the same for the same frames, true to the numbers, connected."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise, permutations
from unittest.mock import Mock
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.draw import (
    draw_dotted_chart,
    draw_ocdfg,
    draw_ocpn,
    draw_performance_spectrum,
    draw_timeline,
    draw_variants,
    draw_waiting_heat_map,
    explore_page,
    lay_out_ocpn,
    svg,
)
from ocelake.draw.arcs import Arc, arcs_of
from ocelake.draw.axis import ticks as axis_ticks
from ocelake.draw.layout import Box, Line, lay_out
from ocelake.draw.order import process_order
from ocelake.draw.svg import human_count, human_duration, shorten, text_width, wrap
from ocelake.errors import OcelakeError
from ocelake.mining import encode, mine_log
from ocelake.mining.ocpn import discover_ocpn, ocpn_tables
from ocelake.mining.spectrum import dotted_chart, performance_spectrum, waiting_times
from ocelake.ocel.generate import generate
from ocelake.tables import TABLES
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
    return tables_of(Log(events, things, relations))


def tables_of(log: Log) -> dict[str, pl.DataFrame]:
    """Give what pictures are made of: the gold tables, the events, a model, and what happens when."""
    tables = log.tables()
    traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
    return (
        mine_log(tables, quarantined=0, publication_id="p")
        | ocpn_tables(discover_ocpn(traces), version=1, publication_id="p", parameters={})
        | {
            "ocel.events": tables["ocel.events"],
            "dotted": dotted_chart(traces),
            "spectrum": performance_spectrum(traces),
            "week": waiting_times(traces),
            "log": waiting_times(traces, calendar="log"),
        }
    )


def net(tables: dict[str, pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    return (
        tables["ocpn.places"],
        tables["ocpn.transitions"],
        tables["ocpn.arcs"],
        tables["ocpn.markings"],
    )


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
        draw_ocpn(*net(tables)),
        draw_ocpn(*net(tables), apart=True),
        draw_dotted_chart(tables["dotted"]),
        draw_performance_spectrum(tables["spectrum"]),
        draw_waiting_heat_map(tables["week"]),
        draw_waiting_heat_map(tables["log"]),
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


@settings(max_examples=60)
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
    measured = Mock(wraps=text_width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "text_width", measured)
        assert shorten("x" * 10_000, 100, 12) == shorten("x" * 100, 100, 12)
    assert measured.call_count < 50
    lines = wrap("Completion certificate requested by the applicant in writing once more", 120, 13)
    assert len(lines) == 3
    assert all(text_width(line, 13) <= 120 for line in lines)


def circles(picture: str) -> int:
    return sum(element.tag.endswith("circle") for element in ElementTree.fromstring(picture).iter())


def test_a_petri_net_has_every_place_transition_and_arc() -> None:
    tables = mined(["place", "pick", "ship", "pay"])
    places, transitions, arcs, markings = net(tables)
    layout = lay_out_ocpn(places, transitions, arcs, markings)
    spec = TABLES["ocpn.layout"]
    assert dict(layout.schema) == {name: dtype for name, dtype in spec.schema.items() if name != "log_id"}
    assert layout.equals(layout.sort(spec.sort))
    assert not layout.select("element", "element_id").is_duplicated().any()
    assert set(layout.filter(element="place")["element_id"]) == set(places["place_id"])
    assert set(layout.filter(element="transition")["element_id"]) == set(transitions["transition_id"])
    assert set(layout.filter(element="arc")["element_id"]) == {
        f"{source} -> {target}" for source, target in arcs.select("source_id", "target_id").iter_rows()
    }
    picture = draw_ocpn(places, transitions, arcs, markings, layout)
    assert picture == draw_ocpn(places, transitions, arcs, markings)
    seen = hovers(picture)
    assert sum(bool(re.search(": (initial |final )?place$", title)) for title in seen) == len(places)
    assert seen.count("silent") == transitions["activity"].null_count()
    assert {"place", "pick", "ship", "pay"} <= set(words(picture))
    # A token, or a second circle, and those of the legend.
    assert circles(picture) == len(places) + len(markings) + 4


def test_arcs_of_a_petri_net_end_at_its_places_and_transitions() -> None:
    places, transitions, arcs, markings = net(mined(["place", "pick", "ship", "pay"], objects=6))
    layout = lay_out_ocpn(places, transitions, arcs, markings)
    boxes = {row["element_id"]: row for row in layout.filter(pl.col("element") != "arc").iter_rows(named=True)}
    for one, two in combinations(boxes.values(), 2):
        apart = [
            abs(one["x"] - two["x"]) - (one["width"] + two["width"]) / 2,
            abs(one["y"] - two["y"]) - (one["height"] + two["height"]) / 2,
        ]
        assert max(apart) >= 0, "elements do not overlap"
    for source, target in arcs.select("source_id", "target_id").iter_rows():
        path = layout.filter(element_id=f"{source} -> {target}")["path"].item().to_list()
        for key, (x, y) in ((source, path[:2]), (target, path[-2:])):
            box = boxes[key]
            if box["element"] == "place":
                assert math.dist((x, y), (box["x"], box["y"])) == pytest.approx(box["width"] / 2, abs=0.1)
            else:
                assert abs(x - box["x"]) <= box["width"] / 2 + 2
                assert abs(y - box["y"]) <= box["height"] / 2 + 2
        assert (len(path) // 2 - 2) % 3 == 0, "cubic Bézier curves, and a tip"


def test_some_types_of_a_petri_net_are_drawn_alone() -> None:
    tables = mined(["place", "pick", "ship", "pay"])
    kinds = tables["ocpn.places"]["object_type"].unique().sort().to_list()
    picture = draw_ocpn(*net(tables), object_types=kinds[:1])
    assert f"1 of {len(kinds)} object types" in " ".join(words(picture))
    assert any(title.startswith(f"{kinds[0]}:") for title in hovers(picture))
    assert not any(title.startswith(f"{kinds[1]}:") for title in hovers(picture))
    with pytest.raises(OcelakeError, match="no object type 'nothing'"):
        draw_ocpn(*net(tables), object_types=["nothing"])
    other = tables["ocpn.places"].with_columns(model_id=pl.lit("other"))
    with pytest.raises(OcelakeError, match="one model, not 2"):
        lay_out_ocpn(other, *net(tables)[1:])


def flowers(kinds: int, activities: int, *, shared: bool) -> tuple[pl.DataFrame, ...]:
    """Give a net in which objects of every type do any of many activities at any time."""
    places, transitions, arcs, markings = [], {}, [], []
    for kind in (f"type {number}" for number in range(kinds)):
        begin, middle, end = (f"p:{kind}:{name}" for name in ("begin", "middle", "end"))
        places += [(begin, kind), (middle, kind), (end, kind)]
        markings += [("initial", begin), ("final", end)]
        for silent, way in ((f"s:{kind}:in", (begin, middle)), (f"s:{kind}:out", (middle, end))):
            transitions[silent] = None
            arcs += [(way[0], silent, kind), (silent, way[1], kind)]
        for place in range(activities):
            # Each activity belongs to a subset of the types of its own.
            if not shared or place % (kinds + 1) != kinds - int(kind[5:]):
                name = f"activity {place}" if shared else f"{kind} activity {place}"
                transitions[f"t:{name}"] = name
                arcs += [(middle, f"t:{name}", kind), (f"t:{name}", middle, kind)]
    model = pl.lit("m").alias("model_id")
    return (
        pl.DataFrame(places, schema=["place_id", "object_type"], orient="row").with_columns(model),
        pl.DataFrame(list(transitions.items()), schema=["transition_id", "activity"], orient="row").with_columns(model),
        pl.DataFrame(arcs, schema=["source_id", "target_id", "object_type"], orient="row").with_columns(
            model, variable=pl.lit(False), minimum=pl.lit(1), maximum=pl.lit(1)
        ),
        pl.DataFrame(markings, schema=["marking", "place_id"], orient="row").with_columns(model),
    )


def test_the_petals_of_a_flower_share_a_frame() -> None:
    picture = draw_ocpn(*flowers(2, 30, shared=False))
    assert "one of several activities" in words(picture)
    assert hovers(picture).count("one of these") == 2
    assert sum("activity" in title for title in hovers(picture)) == 60
    assert picture.count("<path") == 2 * (4 + 2), "an arc to each frame and one from it"


def test_sixty_activities_of_eight_types_are_taken_apart() -> None:
    frames = flowers(8, 60, shared=True)
    picture = draw_ocpn(*frames)
    assert len(frames[2]) > 800
    assert any("The types are drawn apart" in word for word in words(picture))
    assert picture.count("<path") < 150
    assert len(picture) < 400_000
    width, height = re.search(r'width="([\d.]+)" height="([\d.]+)"', picture).groups()
    assert float(width) < 6000
    assert float(height) < 3000


def chains(kinds: int, activities: int) -> tuple[pl.DataFrame, ...]:
    """Give a net in which objects of every type go through all activities (a prime number), in many orders."""
    steps = [
        (f"type {n}", place, place * (n % (activities - 1) + 1) % activities)
        for n in range(kinds)
        for place in range(activities)
    ]
    places = [(f"p:type {n}:{place}", f"type {n}") for n in range(kinds) for place in range(activities + 1)]
    arcs = [(f"p:{kind}:{place}", f"t:{activity}", kind) for kind, place, activity in steps]
    arcs += [(f"t:{activity}", f"p:{kind}:{place + 1}", kind) for kind, place, activity in steps]
    markings = [("initial", f"p:type {n}:0") for n in range(kinds)]
    markings += [("final", f"p:type {n}:{activities}") for n in range(kinds)]
    model = pl.lit("m").alias("model_id")
    named = [(f"t:{place}", f"activity {place}") for place in range(activities)]
    return (
        pl.DataFrame(places, schema=["place_id", "object_type"], orient="row").with_columns(model),
        pl.DataFrame(named, schema=["transition_id", "activity"], orient="row").with_columns(model),
        pl.DataFrame(arcs, schema=["source_id", "target_id", "object_type"], orient="row").with_columns(
            model, variable=pl.lit(False), minimum=pl.lit(1), maximum=pl.lit(1)
        ),
        pl.DataFrame(markings, schema=["marking", "place_id"], orient="row").with_columns(model),
    )


@pytest.mark.timeout(20)
def test_a_petri_net_that_is_too_large_is_not_laid_out_and_its_picture_says_so() -> None:
    frames = chains(300, 47)
    layout = lay_out_ocpn(*frames)
    assert layout.is_empty()
    assert layout.schema == lay_out_ocpn(*chains(1, 2)).schema
    for picture in (draw_ocpn(*frames, layout), draw_ocpn(*frames, layout, apart=False)):
        assert "Too large to be drawn" in " ".join(words(picture))
        assert "300 object types, 47 activities: 14400 places" in " ".join(words(picture))
        assert len(picture) < 10_000
    picture = draw_ocpn(*frames, layout, object_types=["type 7"])
    assert not any("Too large" in word for word in words(picture))
    assert {"activity 0", "activity 46", "type 7"} <= set(words(picture))


@pytest.mark.timeout(20)
def test_an_ocdfg_that_is_too_large_says_so_or_shows_less() -> None:
    names = [f"activity {n}" for n in range(60)]
    ways = [(kind, *pair) for kind in ("item", "order") for pair in permutations(names, 2)]
    edges = pl.DataFrame(ways, ["object_type", "source", "target"], orient="row").with_columns(
        total_objects=pl.int_range(1, pl.len() + 1), duration_mean=pl.lit(1.0)
    )
    nodes = pl.DataFrame(
        {"object_type": [kind for kind in (None, "item", "order") for _ in names], "activity": names * 3}
    ).with_columns(
        events=pl.lit(9), **{side: pl.col("object_type").str.len_chars() for side in ("start_objects", "end_objects")}
    )
    picture = draw_ocdfg(nodes, edges, coverage=1.0)
    assert "Too large to be drawn" in " ".join(words(picture))
    assert "60 activities, 7080 edges" in " ".join(words(picture))
    assert not any("Too large" in word for word in words(draw_ocdfg(nodes, edges, coverage=0.01)))


def test_variable_arcs_are_double_and_tell_their_numbers() -> None:
    log = Log(
        {"e1": ("pack", 0, 0), "e2": ("pack", 1, 0), "e3": ("send", 2, 0)},
        {"o1": "item", "o2": "item", "o3": "item"},
        [("e1", "o1", ""), ("e1", "o2", ""), ("e2", "o3", ""), ("e3", "o1", "")],
    )
    picture = draw_ocpn(*net(tables_of(log)))
    assert "item: 1 to 2 objects" in hovers(picture)
    assert "item: one object" in hovers(picture)
    assert "any number of objects" in words(picture)


def test_a_dotted_chart_tells_types_objects_and_events() -> None:
    tables = mined(["place", "pick", "ship", "pay"])
    picture = draw_dotted_chart(tables["dotted"])
    shown = words(picture)
    for kind, rows in tables["dotted"].group_by("object_type"):
        assert kind[0] in shown
        objects = rows.unique("row")["objects"].sum()
        assert any(re.match(f"{objects} objects, .*; {rows['steps'].sum()} events", word) for word in shown)
    dots = sum(path.count("M") for path in re.findall(r'<path d="([^"]*)"', picture))
    assert dots == len(tables["dotted"])


def test_a_spectrum_draws_every_line_and_a_heat_map_every_cell() -> None:
    tables = mined(["place", "pick", "ship", "pay"])
    picture = draw_performance_spectrum(tables["spectrum"])
    assert sum(path.count("M") for path in re.findall(r'<path d="([^"]*)"', picture)) == len(tables["spectrum"])
    for calendar in ("week", "log"):
        cells = [title for title in hovers(draw_waiting_heat_map(tables[calendar])) if " on average over " in title]
        assert len(cells) == len(tables[calendar])


def test_pictures_of_a_large_log_have_a_bounded_size() -> None:
    ocel = generate(events=30_000, seed=2)
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    assert len(draw_dotted_chart(dotted_chart(traces))) < 1_200_000
    assert len(draw_performance_spectrum(performance_spectrum(traces))) < 500_000
    assert len(draw_waiting_heat_map(waiting_times(traces))) < 150_000


def test_a_page_holds_pictures_of_ever_more_coverage() -> None:
    tables = mined([*HOSTILE, "place", "pick"], objects=9)
    graph = tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"]
    page = explore_page(*graph, title="<shop> & co")
    assert "<title>&lt;shop&gt; &amp; co</title>" in page
    assert not re.search(r"(src|href)=|url\(", page), "nothing is loaded"
    body = page.replace("&nbsp;", " ")
    sections = re.findall(r"<section[^>]*>(.*?)</section>", body, flags=re.DOTALL)
    assert sections[-1] == draw_ocdfg(*graph, coverage=1.0)
    sizes = [len([title for title in hovers(section) if "→" in title]) for section in sections]
    assert sizes == sorted(sizes)
    assert page.count('class="shown"') == 1
    assert f'max="{len(sections) - 1}"' in page
    shuffled = [frame.sample(fraction=1, shuffle=True, seed=3) for frame in graph]
    assert explore_page(*shuffled, title="<shop> & co") == page

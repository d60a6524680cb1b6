"""The picture of execution variants: well-formed, the same for the same frame, true to the examples."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import polars as pl

from ocelake.draw.execution_variants import draw_execution_variants
from ocelake.mining.execution_variants import execution_tables
from ocelake.mining.executions import find_executions
from tests.unit.reference_mining import Log
from tests.unit.test_draw import HOSTILE, hovers, words
from tests.unit.test_execution_variants import from_traces, merged
from tests.unit.test_executions import traces_of


def variants_of(log: Log, *kinds: str) -> pl.DataFrame:
    traces = traces_of(log)
    found = [find_executions(traces, kind) for kind in kinds or ("connected",)]
    return execution_tables(traces, found)["gold.execution_variants"]


def boxes(picture: str) -> list[tuple[float, float, float, float]]:
    """Give the chips: those rectangles whose hover names an event."""
    found = []
    for element in ElementTree.fromstring(picture).iter():
        if element.tag.endswith("rect") and len(element):
            found.append(tuple(float(element.attrib[name]) for name in ("x", "y", "width", "height")))
    return found


ORDER = from_traces(
    {
        "o": ("order", ["place", "wait", "pay"]),
        "i": ("item", ["place", "x pick", "y ship"]),
        "j": ("item", ["place", "x2 pick", "y ship"]),
        "p": ("package", ["y ship", "z deliver"]),
    },
    {"x2 pick": "pick", "x pick": "pick", "place": "place", "wait": "wait", "pay": "pay", "y ship": "ship"},
)


def test_an_event_is_a_chip_on_each_of_its_lanes() -> None:
    picture = draw_execution_variants(variants_of(merged(ORDER, ORDER)))
    shown = words(picture)
    assert {"100%", "2", "connected", "order", "item", "package", "2 executions, 1 variant"} <= set(shown)
    assert [shown.count(name) for name in ("place", "pick", "ship", "wait")] == [3, 2, 3, 1]
    tips = hovers(picture)
    assert "ship: item, item, package" in tips
    assert "place: order, item, item" in tips
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in combinations(boxes(picture), 2):
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1, "chips do not overlap"


def test_chips_stand_in_the_order_of_directly_follows() -> None:
    picture = draw_execution_variants(variants_of(ORDER))
    left = {
        element.attrib["x"]: element.text
        for element in ElementTree.fromstring(picture).iter()
        if element.text == "ship"
    }
    assert len(left) == 1, "one event stands in one column"
    place = {
        name: min(float(x) for x in re.findall(rf'<text x="([\d.]+)"[^>]*>{name}<', picture))
        for name in ("place", "pick", "ship", "wait")
    }
    assert place["place"] < place["pick"] < place["ship"]
    assert place["place"] < place["wait"]


def test_events_of_one_rank_whose_lanes_cross_stand_side_by_side() -> None:
    log = from_traces(
        {"a": ("t", ["a0", "m"]), "b": ("t", ["a0", "n"]), "c": ("t", ["a0", "m"]), "d": ("t", ["a0", "n"])}
    )
    picture = draw_execution_variants(variants_of(log))
    columns = {name: set(re.findall(rf'<text x="([\d.]+)"[^>]*>{name}<', picture)) for name in "mn"}
    assert all(len(found) == 1 for found in columns.values())
    # The lanes are ordered by what happens on them: those of m are neighbours, those of n as well, and share a column.
    assert columns["m"] == columns["n"]
    crossed = from_traces(
        {"a": ("s", ["a0", "m"]), "b": ("t", ["a0", "n"]), "c": ("u", ["a0", "m"]), "d": ("v", ["a0", "n"])}
    )
    picture = draw_execution_variants(variants_of(crossed))
    columns = {name: set(re.findall(rf'<text x="([\d.]+)"[^>]*>{name}<', picture)) for name in "mn"}
    assert columns["m"] != columns["n"], "each would cover a lane of the other"


def test_long_examples_go_on_below_and_very_long_ones_say_what_is_drawn() -> None:
    steps = [f"{n:02} a long activity" for n in range(18)]
    long = from_traces({"o": ("order", steps)}, {step: step for step in steps})
    shown = words(draw_execution_variants(variants_of(long)))
    assert shown.count("order") > 1
    assert not any(word.startswith("Drawn") for word in shown)
    objects = {f"o{n:03}": ("order", [f"{n:03} a", "x" * 30 + f"{n:03}", "z"]) for n in range(250)}
    (note,) = (word for word in words(draw_execution_variants(variants_of(from_traces(objects)))) if "Drawn" in word)
    assert re.fullmatch(r"Drawn: the first \d+ of 501 events and the first 20 of 250 objects\.", note)


def test_what_has_no_objects_or_no_events_is_drawn_too() -> None:
    log = Log({"e": ("count stock", 0, 0)}, {"idle": "order"}, [])
    shown = words(draw_execution_variants(variants_of(log)))
    assert {"count stock", "no events", "50%"} <= set(shown)
    (_, _, note) = words(draw_execution_variants(variants_of(Log({}, {}, []))))[-3:]
    assert note == "No executions of at most 50,000 events: larger ones are not compared."


def test_each_kind_is_a_section_with_its_most_frequent_variants() -> None:
    frame = variants_of(merged(ORDER, from_traces({"o": ("order", ["a"])})), "connected", "leading:order")
    shown = words(draw_execution_variants(frame, most=1))
    assert {"connected", "leading:order", "2 executions, 2 variants, the 1 most frequent hold 50%"} <= set(shown)
    assert draw_execution_variants(frame) == draw_execution_variants(frame.sample(fraction=1, shuffle=True, seed=2))


def test_the_picture_is_well_formed_whatever_the_names() -> None:
    log = Log(
        {f"e{n}": (name, n, 0) for n, name in enumerate(HOSTILE)},
        {f"o{n}": name for n, name in enumerate(HOSTILE)},
        [(f"e{n}", f"o{m}", "") for n in range(len(HOSTILE)) for m in (n, 0)],
    )
    assert 'say "hi"' in words(draw_execution_variants(variants_of(log)))

"""Object-centric Petri nets: discovery from traces, tables, JSON and PNML."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import ExportRefused, OcelakeError
from ocelake.mining import encode
from ocelake.mining.inductive import VariantLog, discover_tree, net_of_tree
from ocelake.mining.ocpn import OCPN_TABLES, discover_ocpn, ocpn_of_tables, ocpn_tables
from ocelake.mining.ocpn_json import Model, from_json, model_id, to_json
from ocelake.mining.petri_nets import AcceptingNet, Cardinality, Ocpn, Transition, canonical
from ocelake.mining.pnml import from_pnml, to_pnml
from ocelake.mining.variants import find_variants
from ocelake.settings import MiningSettings
from ocelake.tables import TABLES
from tests.unit.reference_mining import Log, logs

PROVENANCE: dict[str, Any] = {"version": 3, "publication_id": "shop.silver.2", "parameters": {"empty_traces": False}}


def mine(log: Log, **parameters: Any) -> Ocpn:
    tables = log.tables()
    return discover_ocpn(
        encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"]), **parameters
    )


def shop() -> Log:
    """Give an order with two items, one without, an item that is never touched, and a type that no event has."""
    return Log(
        {
            "e1": ("place", 0, 0),
            "e2": ("pick", 1, 0),
            "e3": ("pick", 2, 0),
            "e4": ("place", 3, 0),
            "e5": ("ping", 4, 0),
        },
        {"o1": "order", "o2": "order", "i1": "item", "i2": "item", "i3": "item", "w": "worker"},
        [
            *(("e1", name, "") for name in ("o1", "i1", "i2")),
            ("e1", "i1", "again"),
            *(("e2", name, "") for name in ("o1", "i1")),
            *(("e3", name, "") for name in ("o1", "i2")),
            ("e4", "o2", ""),
        ],
    )


def test_a_net_for_each_type_with_events_and_cardinalities_over_all_events() -> None:
    ocpn = mine(shop())
    assert [net.object_type for net in ocpn.nets] == ["item", "order"]
    assert ocpn.cardinalities == {
        ("item", "pick"): Cardinality(False, 1, 1),
        ("item", "place"): Cardinality(True, 0, 2),
        ("order", "pick"): Cardinality(False, 1, 1),
        ("order", "place"): Cardinality(False, 1, 1),
    }


def test_objects_without_events_make_their_types_net_skippable_where_asked() -> None:
    traces = {net.object_type: net for net in mine(shop(), empty_traces=True).nets}
    expected = net_of_tree(discover_tree(VariantLog.of([["place", "pick"], []])), "item")
    assert traces["item"] == expected
    assert set(traces) == {"item", "order"}
    assert mine(shop()).nets[0] == net_of_tree(discover_tree(VariantLog.of([["place", "pick"]])), "item")


@settings(max_examples=40)
@given(logs())
def test_cardinalities_are_those_counted_by_hand(log: Log) -> None:
    objects = Counter((event, log.objects[name]) for event, name in {(event, name) for event, name, _ in log.relations})
    strict, lenient = mine(log), mine(log, variable_arcs="pm4py")
    related = {(kind, log.events[event][0]) for event, kind in objects}
    assert set(strict.cardinalities) == set(lenient.cardinalities) == related
    for kind, activity in related:
        counts = [objects[event, kind] for event, (name, _, _) in log.events.items() if name == activity]
        seen = (min(counts), max(counts))
        assert strict.cardinalities[kind, activity] == Cardinality(set(counts) != {1}, *seen)
        assert lenient.cardinalities[kind, activity] == Cardinality(counts.count(1) / len(counts) < 0.8, *seen)


@pytest.mark.parametrize(("others", "variable"), [(4, False), (3, True)])
def test_by_pm4pys_rule_an_arc_is_variable_below_80_percent_of_events_with_one_object(
    others: int, variable: bool
) -> None:
    names = [f"e{n}" for n in range(others)]
    objects = dict.fromkeys(["o", "p", *names], "order")
    log = Log(
        {name: ("pay", n, 0) for n, name in enumerate(["e", *names])},
        objects,
        [("e", "o", ""), ("e", "p", ""), *((name, name, "") for name in names)],
    )
    assert mine(log, variable_arcs="pm4py").cardinalities == {("order", "pay"): Cardinality(variable, 1, 2)}
    assert mine(log).cardinalities == {("order", "pay"): Cardinality(True, 1, 2)}


@settings(max_examples=40)
@given(logs(), st.booleans(), st.booleans(), st.booleans())
def test_nets_are_those_of_each_types_traces(log: Log, fall_throughs: bool, strict: bool, empty: bool) -> None:
    ocpn = mine(log, fall_throughs=fall_throughs, strict_sequence_cut=strict, empty_traces=empty)
    expected = []
    for kind in sorted(set(log.objects.values())):
        traces = [
            [log.events[e][0] for e in events] for name, events in log.traces().items() if log.objects[name] == kind
        ]
        if any(traces):
            own = VariantLog.of(trace for trace in traces if trace or empty)
            tree = discover_tree(own, fall_throughs=fall_throughs, strict_sequence_cut=strict)
            expected.append(net_of_tree(tree, kind))
    assert ocpn.nets == tuple(expected)
    assert canonical(ocpn) == ocpn


def test_known_variants_and_any_order_of_rows_give_the_same_net() -> None:
    tables = shop().tables()
    frames = [tables[f"ocel.{name}"] for name in ("event_objects", "objects", "events")]
    traces = encode(*frames)
    expected = discover_ocpn(traces)
    assert discover_ocpn(traces, find_variants(traces)) == expected
    assert discover_ocpn(encode(*(frame.sample(fraction=1, shuffle=True, seed=3) for frame in frames))) == expected
    assert discover_ocpn(encode(*(frame.clear() for frame in frames))) == Ocpn((), {})


def test_every_parameter_is_a_setting_with_the_same_default() -> None:
    defaults = {name: value for name, value in discover_ocpn.__kwdefaults__.items() if name != "coverage"}
    assert {name: getattr(MiningSettings(), name) for name in defaults} == defaults


# --- tables, JSON, PNML


@settings(max_examples=40)
@given(logs())
def test_a_model_comes_back_from_its_tables_from_json_and_from_pnml(log: Log) -> None:
    ocpn = mine(log)
    tables = ocpn_tables(ocpn, **PROVENANCE)
    assert (
        ocpn_of_tables({name: frame.sample(fraction=1, shuffle=True, seed=1) for name, frame in tables.items()}) == ocpn
    )
    model = Model(ocpn, **PROVENANCE)
    assert from_json(to_json(model)) == model
    assert from_json(to_json(model).encode()) == model
    assert tuple(from_pnml(to_pnml(net)) for net in ocpn.nets) == ocpn.nets


@settings(max_examples=20)
@given(logs())
def test_tables_are_as_declared_and_their_keys_unique(log: Log) -> None:
    tables = ocpn_tables(mine(log), **PROVENANCE)
    assert tuple(tables) == OCPN_TABLES
    for identifier, frame in tables.items():
        spec = TABLES[identifier]
        assert frame.schema == pl.Schema({name: dtype for name, dtype in spec.schema.items() if name != "log_id"})
        assert_frame_equal(frame, frame.sort(spec.sort))
        assert not frame.select(name for name in spec.key if name != "log_id").is_duplicated().any()
        assert frame["model_id"].n_unique() <= 1
        required = [column.name for column in spec.columns if column.required and column.name != "log_id"]
        assert not frame.select(required).null_count().sum_horizontal().sum()


def test_what_the_tables_hold() -> None:
    tables = ocpn_tables(mine(shop()), **PROVENANCE, sound=True)
    model = tables["ocpn.models"].row(0, named=True)
    assert model == {
        "model_id": model_id(mine(shop()), PROVENANCE["parameters"]),
        "version": 3,
        "publication_id": "shop.silver.2",
        "parameters": '{"empty_traces": false}',
        "object_types": ["item", "order"],
        "places": tables["ocpn.places"].height,
        "transitions": tables["ocpn.transitions"].height,
        "silent": tables["ocpn.transitions"]["activity"].null_count(),
        "arcs": tables["ocpn.arcs"].height,
        "variable_arcs": 2,
        "density": pytest.approx(
            tables["ocpn.arcs"].height / 2 / tables["ocpn.places"].height / tables["ocpn.transitions"].height
        ),
        "sound": True,
        "replayable": None,
    }
    visible = tables["ocpn.transitions"].filter(pl.col("activity").is_not_null())
    assert visible.select("transition_id", "activity", "object_type").rows() == [
        ("t:pick", "pick", None),
        ("t:place", "place", None),
    ]
    variable = tables["ocpn.arcs"].filter("variable").select("object_type", "minimum", "maximum")
    assert variable.rows() == [("item", 0, 2)] * 2


def test_ids_stay_apart_whatever_types_activities_and_places_are_called() -> None:
    def net(kind: str, place: str) -> AcceptingNet:
        steps = (Transition("x:s", None, (0,), (1,)), Transition("s:x", "s:x", (1,), (2,)))
        return canonical(Ocpn((AcceptingNet(kind, (place, "q", "%3A"), steps, (1, 0, 0), (0, 0, 1)),), {})).nets[0]

    nets = (net("a", "b:c"), net("a:b", "c"), net("ä b", ":"))
    ocpn = canonical(Ocpn(nets, {(found.object_type, "s:x"): Cardinality(True, 0, 2) for found in nets}))
    tables = ocpn_tables(ocpn, **PROVENANCE)
    assert tables["ocpn.places"]["place_id"].n_unique() == 9
    assert ocpn_of_tables(tables) == ocpn


def test_the_id_is_of_the_content_and_the_parameters() -> None:
    ocpn = mine(shop())
    assert model_id(ocpn, {}) == model_id(Ocpn(ocpn.nets[::-1], dict(reversed(ocpn.cardinalities.items()))), {})
    others = [
        replace(ocpn, cardinalities={**ocpn.cardinalities, ("order", "pick"): Cardinality(True, 1, 1)}),
        replace(ocpn, nets=ocpn.nets[:1]),
    ]
    assert len({model_id(other, {}) for other in [ocpn, *others]} | {model_id(ocpn, {"empty_traces": True})}) == 4


def test_two_transitions_of_one_label_are_refused_by_name() -> None:
    steps = (Transition("t1", "pay", (0,), (1,)), Transition("t2", "pay", (0,), (1,)))
    net = AcceptingNet("order", ("source", "sink"), steps, (1, 0), (0, 1))
    with pytest.raises(OcelakeError, match="2 transitions of the net of 'order' have the label 'pay'"):
        ocpn_tables(Ocpn((net,), {}), **PROVENANCE)
    # In PNML the two stay apart: they are named by their ids.
    assert [step.label for step in from_pnml(to_pnml(net)).transitions] == ["pay", "pay"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "other/1"}', '{"format": "ocelake.ocpn/1"}', b"\xff"])
def test_what_is_no_json_model_is_refused(text: str | bytes) -> None:
    with pytest.raises(OcelakeError, match="no model in the format"):
        from_json(text)


def test_a_changed_json_model_is_refused() -> None:
    document = json.loads(to_json(Model(mine(shop()), **PROVENANCE)))
    document["cardinalities"][0]["variable"] = True
    with pytest.raises(OcelakeError, match="has the id"):
        from_json(json.dumps(document))


PNML = """<?xml version="1.0"?>
<pnml xmlns="http://www.pnml.org/version-2009/grammar/pnml"><net id="n" type="x"><name><text>order</text></name>
<place id="a"><name><text>p</text></name><initialMarking><text> 1 </text></initialMarking></place>
<page id="1"><page id="2"><place id="b"><name><text>p</text></name></place></page>
<transition id="t"><name><text>pay</text></name></transition>
<transition id="u"/><transition id="v"><toolspecific tool="ProM" version="6.4" activity="$invisible$"/></transition>
<arc id="1a" source="a" target="t"/>{arc}</page>
<finalmarkings><marking><place idref="b"><text>1</text></place></marking></finalmarkings></net></pnml>"""


def test_foreign_pnml_is_read() -> None:
    net = from_pnml(
        PNML.format(arc='<arc id="2a" source="t" target="b"><inscription><text>1</text></inscription></arc>')
    )
    assert net == AcceptingNet(
        "order",
        ("a", "b"),
        (Transition("pay", "pay", (0,), (1,)), Transition("u", "u", (), ()), Transition("v", None, (), ())),
        initial=(1, 0),
        final=(0, 1),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no xml", "no PNML: syntax error"),
        ("<pnml><net id='1'/><net id='2'/></pnml>", "holds 2 nets"),
        (PNML.format(arc='<arc source="t" target="b"><inscription><text>2</text></inscription></arc>'), "weight"),
        (PNML.format(arc='<arc source="t" target="u"/>'), "from 't' to 'u' is not between a place and a transition"),
        (PNML.format(arc="").replace(" 1 ", "Default,1"), "A number in the PNML cannot be read"),
    ],
)
def test_what_is_no_pnml_is_refused(text: str, message: str) -> None:
    with pytest.raises(OcelakeError, match=message):
        from_pnml(text)


def test_a_name_that_xml_cannot_hold_is_refused() -> None:
    net = net_of_tree(discover_tree(VariantLog.of([["a\x00"]])), "order")
    with pytest.raises(ExportRefused, match=r"'a\\x00'"):
        to_pnml(net)


def test_a_net_of_the_most_frequent_variants_holds_the_share_asked_for() -> None:
    # Six orders place, pay; three place, check, pay; one place, scan, pay. One item pick.
    paths = [["place", "pay"]] * 6 + [["place", "check", "pay"]] * 3 + [["place", "scan", "pay"]] + [["pick"]]
    rows = [
        (f"e{number:02}.{place}", f"o{number:02}", activity, "item" if activity == "pick" else "order", place)
        for number, path in enumerate(paths)
        for place, activity in enumerate(path)
    ]
    columns = ["event_id", "object_id", "activity", "object_type", "sequence"]
    relations = pl.DataFrame(rows, columns, orient="row").with_columns(time=pl.lit(datetime(2024, 1, 1)))
    traces = encode(relations)

    def labels(coverage: float) -> list[set[str | None]]:
        nets = discover_ocpn(traces, coverage=coverage).nets
        return [{transition.label for transition in net.transitions} - {None} for net in nets]

    assert labels(0.6) == [{"pick"}, {"place", "pay"}]
    assert labels(0.61) == [{"pick"}, {"place", "check", "pay"}]
    assert labels(0.91) == labels(1.0) == [{"pick"}, {"place", "check", "scan", "pay"}]
    assert discover_ocpn(traces, coverage=0.91) == discover_ocpn(traces)


def test_each_arc_has_its_own_id_whatever_types_and_activities_are_called() -> None:
    """Of the type "o" an arc from its source to "source -> t:y"; of the other one from its source to "y"."""
    nets = [
        net_of_tree(discover_tree(VariantLog.of([[label]])), kind)
        for kind, label in (("o", "source -> t:y"), ("o:source -> t", "y"), ("100%", "y"))
    ]
    one = Cardinality(variable=False, minimum=1, maximum=1)
    labels = {(net.object_type, step.label): one for net in nets for step in net.transitions if step.label is not None}
    ocpn = Ocpn(tuple(nets), labels)
    tables = ocpn_tables(ocpn, version=1, publication_id="p", parameters={})
    assert tables["ocpn.arcs"].select(pl.concat_str("source_id", pl.lit(" -> "), "target_id")).is_unique().all()
    assert ocpn_of_tables(tables) == canonical(ocpn)


@pytest.mark.parametrize(
    ("read", "text"), [(from_pnml, b'<?xml version="1.0" encoding="x"?><pnml/>'), (from_json, "[" * 10**5)]
)
def test_what_cannot_be_decoded_is_refused(read: Any, text: str | bytes) -> None:
    with pytest.raises(OcelakeError, match="The text is no"):
        read(text)

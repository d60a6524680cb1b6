"""Discovery of object-centric Petri nets from trace variants, and the tables that hold them.

For each object type an accepting net is mined from the type's trace variants by the Inductive Miner; the nets are glued
where their visible labels are equal. A million events have a few thousand variants, so the miner's time hardly
depends on the number of events.

References
----------
van der Aalst, Berti: Discovering Object-Centric Petri Nets (Fundamenta Informaticae 175, 2020).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.inductive import VariantLog, discover_tree, net_of_tree
from ocelake.mining.ocpn_json import model_id
from ocelake.mining.petri_nets import AcceptingNet, Cardinality, Ocpn, Transition, canonical
from ocelake.mining.traces import Codes, Traces
from ocelake.mining.variants import Variants, find_variants
from ocelake.tables import as_table, frame_schema

__all__ = ["OCPN_TABLES", "VariableArcs", "discover_ocpn", "ocpn_of_tables", "ocpn_tables"]

VariableArcs = Literal["strict", "pm4py"]
"""When an arc is variable: some event of the activity has not exactly one object, or less than 80% of them have one."""

OCPN_TABLES: Final = ("ocpn.models", "ocpn.places", "ocpn.transitions", "ocpn.arcs", "ocpn.markings")
"""The tables that together are a model."""

_SINGLE_SHARE: Final = 0.8
_NO_ARROW: Final = str.maketrans({"%": "%25", ">": "%3E"})
"""Keeps " -> ", which stands between the ends of an arc, out of the ids of places, so that each arc has its own id."""

_ALWAYS_ONE: Final = Cardinality(variable=False, minimum=1, maximum=1)


def discover_ocpn(
    traces: Traces,
    variants: Variants | None = None,
    *,
    fall_throughs: bool = False,
    strict_sequence_cut: bool = False,
    empty_traces: bool = False,
    variable_arcs: VariableArcs = "strict",
    coverage: float = 1.0,
) -> Ocpn:
    """Discover an object-centric Petri net.

    Parameters
    ----------
    traces : Traces
        Of the whole log: all its events and, for `empty_traces`, all its objects.
    variants : Variants, optional
        Those of the traces, where they are known already.
    fall_throughs, strict_sequence_cut : bool
        Flags of the Inductive Miner (see `ocelake.mining.inductive.discover_tree`).
    empty_traces : bool
        Whether an object without events makes its type's net skippable.
    variable_arcs : {"strict", "pm4py"}
        The rule for variable arcs.
    coverage : float
        Mine from the most frequent variants of each type until they hold this share of its objects: an abstraction to
        look at, which the other traces do not fit.

    Returns
    -------
    Ocpn
        A net for each type that has an event; in canonical order, the same for every order of rows.

    Notes
    -----
    How often a variant occurs does not matter, but for ``coverage``: the miner has no noise threshold, and every trace
    that it sees fits its type's net.
    The minimum and maximum of a cardinality are over all events of the activity, those without an object of the type
    included.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> steps = [("e1", "place", "o1"), ("e2", "pay", "o1"), ("e2", "pay", "o2")]
    >>> relations = pl.DataFrame(steps, ["event_id", "activity", "object_id"], orient="row").with_columns(
    ...     object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> ocpn = discover_ocpn(encode(relations))
    >>> [transition.label for transition in ocpn.nets[0].transitions]
    ['pay', 'place', None]
    >>> ocpn.cardinalities["order", "pay"]
    Cardinality(variable=True, minimum=2, maximum=2)
    """
    variants = find_variants(traces) if variants is None else variants
    examples = variants.example if coverage >= 1 else _frequent(traces, variants, coverage)
    examples = examples[np.argsort(traces.object_type[examples], kind="stable")]
    bounds = np.searchsorted(traces.object_type[examples], np.arange(len(traces.object_types) + 1))
    labels = traces.activities.to_list()
    by_activity = _EventsByActivity(traces)
    nets: list[AcceptingNet] = []
    cardinalities: dict[tuple[str, str], Cardinality] = {}
    for code, object_type in enumerate(traces.object_types):
        log = _variant_log(traces, labels, examples[bounds[code] : bounds[code + 1]], empty_traces=empty_traces)
        if not len(log.steps):
            continue
        tree = discover_tree(log, fall_throughs=fall_throughs, strict_sequence_cut=strict_sequence_cut)
        nets.append(net_of_tree(tree, object_type))
        found = by_activity.cardinalities(code, variable_arcs)
        for activity in np.unique(log.steps):
            cardinalities[object_type, labels[activity]] = found[activity]
    return Ocpn(tuple(nets), cardinalities)


def _frequent(traces: Traces, variants: Variants, coverage: float) -> npt.NDArray[np.int64]:
    """Give an example of each of the most frequent variants that hold a share of their type's objects that have events.

    Of equally frequent ones the shorter comes first, then the one of the least object.
    """
    example = variants.example
    counts = np.bincount(variants.of_object, minlength=len(example)) * (traces.lengths[example] > 0)
    kind = traces.object_type[example]
    order = np.lexsort((example, traces.lengths[example], -counts, kind))
    held = np.cumsum(counts[order])
    # What the types before hold, and what each holds in all.
    before = np.concatenate(([0], held))[np.searchsorted(kind[order], kind[order])]
    whole = np.bincount(kind, weights=counts, minlength=len(traces.object_types))[kind[order]]
    wanted = (held - counts[order] - before < coverage * whole) & (counts[order] > 0)
    return example[order[wanted]]


def _variant_log(
    traces: Traces, labels: Sequence[str], examples: npt.NDArray[np.int64], *, empty_traces: bool
) -> VariantLog:
    """Give one trace of each of a type's variants."""
    starts = traces.offsets[examples]
    lengths = traces.offsets[examples + 1] - starts
    number = np.repeat(np.arange(len(examples), dtype=np.int32), lengths)
    taken = np.arange(len(number)) + (starts - np.cumsum(lengths) + lengths)[number]
    empty = empty_traces and bool((lengths == 0).any())
    return VariantLog(labels, traces.step_activity[taken], number, empty)


class _EventsByActivity:
    """The events of a log in the order of their activities, to look at each activity's events at once."""

    def __init__(self, traces: Traces) -> None:
        self.traces = traces
        self.order: Codes = np.argsort(traces.event_activity, kind="stable").astype(np.int32)
        self.sizes = np.bincount(traces.event_activity, minlength=len(traces.activities))
        self.starts = np.cumsum(self.sizes) - self.sizes

    def cardinalities(self, object_type: int, rule: VariableArcs) -> list[Cardinality]:
        """Tell, for each activity, how many objects of a type its events have."""
        traces = self.traces
        first, last = np.searchsorted(traces.object_type, (object_type, object_type + 1))
        steps = traces.step_event[traces.offsets[first] : traces.offsets[last]]
        objects = np.bincount(steps, minlength=len(traces.event_ids)).astype(np.int32)[self.order]
        fewest, most = (ufunc.reduceat(objects, self.starts) for ufunc in (np.minimum, np.maximum))
        if rule == "strict":
            variable = (fewest != 1) | (most != 1)
        else:
            variable = np.add.reduceat(objects == 1, self.starts, dtype=np.int64) / self.sizes < _SINGLE_SHARE
        return [Cardinality(*found) for found in zip(variable.tolist(), fewest.tolist(), most.tolist(), strict=True)]


def ocpn_tables(
    ocpn: Ocpn,
    *,
    version: int,
    publication_id: str,
    parameters: Mapping[str, object],
    sound: bool | None = None,
    replayable: bool | None = None,
) -> dict[str, pl.DataFrame]:
    """Give the tables of a model.

    Parameters
    ----------
    ocpn : Ocpn
    version : int
        Publications of the log's models so far.
    publication_id : str
        The silver publication that the net was mined from.
    parameters : mapping of str to object
        The miner's parameters; JSON values.
    sound, replayable : bool, optional
        Whether every type's net is sound, and whether the whole log can be replayed on the model.

    Returns
    -------
    dict of str to DataFrame
        `OCPN_TABLES`, without ``log_id``, each in the order of its table.

    Raises
    ------
    OcelakeError
        Where two transitions of one net have the same label.

    Examples
    --------
    >>> pay = Transition("pay", "pay", inputs=(1,), outputs=(0,))
    >>> net = AcceptingNet("order", ("sink", "source"), (pay,), initial=(0, 1), final=(1, 0))
    >>> ocpn = Ocpn((net,), {("order", "pay"): Cardinality(variable=False, minimum=1, maximum=1)})
    >>> tables = ocpn_tables(ocpn, version=1, publication_id="shop.silver.1", parameters={})
    >>> tables["ocpn.arcs"].select("source_id", "target_id").rows()
    [('p:order:source', 't:pay'), ('t:pay', 'p:order:sink')]
    >>> ocpn_of_tables(tables) == ocpn
    True
    """
    ocpn = canonical(ocpn)
    for net in ocpn.nets:
        _check_labels(net)
    places = [(_place_id(net, place), net.object_type) for net in ocpn.nets for place in range(len(net.places))]
    transitions = {
        (_transition_id(net, transition), transition.label, None if transition.label is not None else net.object_type)
        for net in ocpn.nets
        for transition in net.transitions
    }
    arcs = [arc for net in ocpn.nets for arc in _arcs(net, ocpn.cardinalities)]
    markings = [
        (name, _place_id(net, place), tokens)
        for net in ocpn.nets
        for name, marking in (("initial", net.initial), ("final", net.final))
        for place, tokens in enumerate(marking)
        if tokens
    ]
    model = (
        version,
        publication_id,
        json.dumps(parameters, sort_keys=True, ensure_ascii=False),
        [net.object_type for net in ocpn.nets],
        len(places),
        len(transitions),
        sum(label is None for _, label, _ in transitions),
        len(arcs),
        sum(variable for _, _, _, variable, _, _ in arcs),
        len(arcs) / (2 * len(places) * len(transitions)) if transitions else None,
        sound,
        replayable,
    )
    name = model_id(ocpn, parameters)
    rows: tuple[Iterable[tuple[object, ...]], ...] = ([model], places, transitions, arcs, markings)
    return {identifier: _table(identifier, name, found) for identifier, found in zip(OCPN_TABLES, rows, strict=True)}


def ocpn_of_tables(tables: Mapping[str, pl.DataFrame]) -> Ocpn:
    """Give the net of a model's tables.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `OCPN_TABLES` of one model, rows in any order; other tables are not looked at.

    Returns
    -------
    Ocpn
        The one that `ocpn_tables` was given, in canonical order; a visible transition is named as its label is.

    See Also
    --------
    ocpn_tables

    Examples
    --------
    >>> pay = Transition("pay", "pay", inputs=(1,), outputs=(0,))
    >>> net = AcceptingNet("order", ("sink", "source"), (pay,), initial=(0, 1), final=(1, 0))
    >>> ocpn = Ocpn((net,), {("order", "pay"): Cardinality(variable=True, minimum=1, maximum=2)})
    >>> tables = ocpn_tables(ocpn, version=1, publication_id="shop.silver.1", parameters={})
    >>> ocpn_of_tables(tables).cardinalities
    {('order', 'pay'): Cardinality(variable=True, minimum=1, maximum=2)}
    """
    (kinds,) = tables["ocpn.models"]["object_types"]
    labels = dict(tables["ocpn.transitions"].select("transition_id", "activity").iter_rows())
    ends = tables["ocpn.arcs"].select("object_type", "source_id", "target_id", "variable", "minimum", "maximum")
    return canonical(
        Ocpn(
            tuple(_net_of_tables(tables, kind, labels) for kind in kinds),
            {
                (kind, label): Cardinality(*found)
                for kind, source, target, *found in ends.iter_rows()
                for label in (labels.get(source), labels.get(target))
                if label is not None
            },
        )
    )


def _net_of_tables(tables: Mapping[str, pl.DataFrame], kind: str, labels: Mapping[str, str | None]) -> AcceptingNet:
    places = {place: n for n, place in enumerate(tables["ocpn.places"].filter(object_type=kind)["place_id"])}
    inputs: dict[str, list[int]] = {}
    outputs: dict[str, list[int]] = {}
    for source, target in tables["ocpn.arcs"].filter(object_type=kind).select("source_id", "target_id").iter_rows():
        if source in places:
            inputs.setdefault(target, []).append(places[source])
        else:
            outputs.setdefault(source, []).append(places[target])
    markings = {"initial": [0] * len(places), "final": [0] * len(places)}
    for marking, place, tokens in tables["ocpn.markings"].select("marking", "place_id", "tokens").iter_rows():
        if place in places:
            markings[marking][places[place]] = tokens
    return AcceptingNet(
        kind,
        tuple(map(_name, places)),
        tuple(
            Transition(
                _name(transition) if (label := labels[transition]) is None else label,
                label,
                tuple(sorted(inputs.get(transition, ()))),
                tuple(sorted(outputs.get(transition, ()))),
            )
            for transition in inputs.keys() | outputs.keys()
        ),
        initial=tuple(markings["initial"]),
        final=tuple(markings["final"]),
    )


def _arcs(
    net: AcceptingNet, cardinalities: Mapping[tuple[str, str], Cardinality]
) -> Iterator[tuple[str, str, str, bool, int, int]]:
    """Give the rows of `ocpn.arcs` of one net."""
    for transition in net.transitions:
        found = _ALWAYS_ONE if transition.label is None else cardinalities[net.object_type, transition.label]
        name = _transition_id(net, transition)
        pairs = [(_place_id(net, place), name) for place in transition.inputs]
        pairs += [(name, _place_id(net, place)) for place in transition.outputs]
        for source, target in pairs:
            yield source, target, net.object_type, found.variable, found.minimum, found.maximum


def _check_labels(net: AcceptingNet) -> None:
    labels = Counter(transition.label for transition in net.transitions if transition.label is not None)
    for label, number in labels.most_common(1):
        if number > 1:
            raise OcelakeError(
                f"{number} transitions of the net of {net.object_type!r} have the label {label!r}.",
                fix="Nets are glued by their labels: give each label to one transition.",
            )


def _place_id(net: AcceptingNet, place: int) -> str:
    return f"p:{net.object_type.translate(_NO_ARROW)}:{quote(net.places[place], safe='')}"


def _transition_id(net: AcceptingNet, transition: Transition) -> str:
    if transition.label is not None:
        return f"t:{transition.label}"
    return f"s:{net.object_type.translate(_NO_ARROW)}:{quote(transition.name, safe='')}"


def _name(element: str) -> str:
    """Give the name in an id of a place or a silent transition."""
    return unquote(element.rpartition(":")[2])


def _table(identifier: str, model: str, rows: Iterable[tuple[object, ...]]) -> pl.DataFrame:
    named = [(model, *row) for row in rows]
    return as_table(identifier, pl.DataFrame(named, frame_schema(identifier), orient="row"))

"""Conformance of a log to a model: every trace variant replayed and aligned, and the log replayed on the glued net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa

from ocelake.mining.alignments import STATES, Aligner, Alignment
from ocelake.mining.glued import GluedReplay, replay_glued
from ocelake.mining.petri_nets import AcceptingNet, Ocpn
from ocelake.mining.replay import replay, replay_fitness
from ocelake.mining.traces import Traces
from ocelake.mining.variants import Variants
from ocelake.tables import as_table

__all__ = ["conformance_tables", "variant_conformance"]

_NO_VARIANTS: Final = as_table("gold.variant_conformance").drop("model_id")


def conformance_tables(
    traces: Traces,
    variants: Variants,
    variant_ids: pl.Series,
    ocpn: Ocpn,
    model_id: str,
    *,
    replayed: GluedReplay | None = None,
    empty_traces: bool = False,
    limit: int = STATES,
) -> dict[str, pl.DataFrame]:
    """Measure how well a log fits a model.

    Parameters
    ----------
    traces : Traces
    variants : Variants
        Of the traces.
    variant_ids : Series of str
        By variant code, as `trace_variants` gives them.
    ocpn : Ocpn
    model_id : str
    replayed : GluedReplay, optional
        The replay of the log on the glued net, where it is known already.
    empty_traces : bool
        Whether objects without events count, as the empty trace; as they did when the model was mined.
    limit : int
        States that the search for one variant's alignment looks at, at most.

    Returns
    -------
    dict of str to DataFrame
        `gold.variant_conformance` and `gold.model_quality`, without ``log_id``, sorted. The measures of quality are:
        for each type with a net ``replay_fitness`` (of the sums of tokens), ``replay_fitting`` (the share of objects),
        ``alignment_fitness`` (1 - the sum of costs over the sum of worst costs) and ``alignment_fitting``, both null
        where an alignment is missing; and for the whole model ``glued_replay``, the share of events that are no cause
        for which the log cannot be replayed.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.petri_nets import Cardinality, Transition
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.mining.variants import find_variants, trace_variants
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))
    >>> ocpn = Ocpn((net,), {("order", "pay"): Cardinality(variable=False, minimum=1, maximum=1)})
    >>> relations = pl.DataFrame({"event_id": ["e1", "e2"], "object_id": ["o1", "o1"]}).with_columns(
    ...     activity=pl.lit("pay"), object_type=pl.lit("order"), time=datetime(2024, 1, 1), sequence=0
    ... )
    >>> traces = encode(relations)
    >>> variants = find_variants(traces)
    >>> tables = conformance_tables(traces, variants, trace_variants(traces, variants)["variant_id"], ocpn, "m")
    >>> tables["gold.model_quality"].select("metric", "value").rows()[:2]
    [('glued_replay', 0.5), ('alignment_fitness', 0.6666666666666667)]
    """
    names = traces.activities.to_list()
    objects = np.bincount(variants.of_object, minlength=len(variants.example))
    lengths = traces.lengths[variants.example]
    parts = []
    for net in ocpn.nets:
        of_type = (traces.object_types.gather(traces.object_type[variants.example]) == net.object_type).to_numpy()
        codes = np.flatnonzero(of_type & ((lengths > 0) | empty_traces))
        starts = traces.offsets[variants.example[codes]]
        sequences = [
            [names[activity] for activity in traces.step_activity[start : start + length].tolist()]
            for start, length in zip(starts, lengths[codes], strict=True)
        ]
        described = pl.DataFrame({"variant_id": variant_ids.gather(codes), "objects": objects[codes]})
        parts.append(pl.concat([described, variant_conformance(net, sequences, limit)], how="horizontal"))
    quality = [
        *(row for net, part in zip(ocpn.nets, parts, strict=True) for row in _type_quality(net, part)),
        _glued_quality(replayed or replay_glued(traces, variants, ocpn, limit)),
    ]
    model = pl.lit(model_id).alias("model_id")
    schema = {"object_type": pl.String, "metric": pl.String, "value": pl.Float64, "detail": pl.String}
    found = [
        part.drop("worst").insert_column(0, pl.repeat(net.object_type, len(part), eager=True).alias("object_type"))
        for net, part in zip(ocpn.nets, parts, strict=True)
    ]
    return {
        "gold.variant_conformance": pl.concat([_NO_VARIANTS, *found])
        .select(model, pl.all())
        .sort("object_type", "objects", "variant_id"),
        "gold.model_quality": pl.DataFrame(quality, schema=schema, orient="row")
        .select(model, pl.all())
        .sort("object_type", "metric"),
    }


def variant_conformance(net: AcceptingNet, sequences: Sequence[Sequence[str]], limit: int = STATES) -> pl.DataFrame:
    """Replay and align sequences of activities.

    Parameters
    ----------
    net : AcceptingNet
    sequences : sequence of sequence of str
    limit : int
        States that the search for one alignment looks at, at most.

    Returns
    -------
    DataFrame
        For each sequence the columns of `gold.variant_conformance` from ``produced``, and ``worst``, the cost of the
        alignment without a synchronous move.

    Examples
    --------
    >>> from ocelake.mining.petri_nets import Transition
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))
    >>> found = variant_conformance(net, [["pay"], ["ship"]])
    >>> found.select("fits", "cost", "alignment_fitness").rows()
    [(True, 0, 1.0), (False, 2, 0.0)]
    >>> found["moves"][1].to_list()[1]
    {'move': 'model', 'activity': 'pay', 'transition': 't1'}
    """
    aligner = Aligner(net, limit)
    shortest = aligner.align([]).cost
    replayed = replay(net, sequences)
    # A replay that fits is an alignment without deviations.
    aligned = [
        None if fits else aligner.align(sequence) for fits, sequence in zip(replayed["fits"], sequences, strict=True)
    ]
    costs = pl.DataFrame(
        {
            "cost": pl.Series([found.cost if found else 0 for found in aligned], dtype=pl.Int64),
            "worst": pl.Series(
                [None if shortest is None else len(sequence) + shortest for sequence in sequences], dtype=pl.Int64
            ),
            "moves": _moves(net, sequences, aligned),
            "note": pl.Series([_note(found) for found in aligned], dtype=pl.String),
        }
    )
    fitness = pl.when(pl.col("worst") > 0).then(1 - pl.col("cost") / pl.col("worst")).otherwise(1.0)
    costs = costs.with_columns(pl.when(pl.col("worst").is_not_null()).then(fitness).alias("alignment_fitness"))
    return pl.concat([replayed, costs.select("cost", "alignment_fitness", "moves", "note", "worst")], how="horizontal")


def _note(found: Alignment | None) -> str | None:
    if found is None or found.cost is not None:
        return None
    if found.exhausted:
        return "The final marking cannot be reached."
    return f"The search was ended after {found.states} states."


def _moves(net: AcceptingNet, sequences: Sequence[Sequence[str]], aligned: Sequence[Alignment | None]) -> pl.Series:
    """Give the alignments as lists of (move, activity, transition)."""
    kinds: list[str] = []
    activities: list[str | None] = []
    transitions: list[str | None] = []
    bounds = [0]
    for sequence, found in zip(sequences, aligned, strict=True):
        position = 0
        for kind, transition in found.moves if found else ():
            kinds.append(kind)
            if transition is None:
                activities.append(sequence[position])
                transitions.append(None)
            else:
                activities.append(net.transitions[transition].label)
                transitions.append(net.transitions[transition].name)
            position += kind in ("sync", "log")
        bounds.append(len(kinds))
    fields = {"move": kinds, "activity": activities, "transition": transitions}
    moves = pl.DataFrame(fields, schema=dict.fromkeys(fields, pl.String)).to_struct().to_arrow()
    lists = pl.Series("moves", pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(bounds), moves)))
    deviates = pl.Series([bool(found and found.cost) for found in aligned], dtype=pl.Boolean)
    return lists.to_frame().select(pl.when(deviates).then("moves"))["moves"]


def _type_quality(net: AcceptingNet, part: pl.DataFrame) -> list[tuple[str | None, str, float | None, str | None]]:
    """Give the measures of one type: object_type, metric, value, detail."""
    weights, total = pl.col("objects"), part["objects"].sum()
    unaligned = part.filter(pl.col("cost").is_null() | pl.col("worst").is_null())
    note = f"{len(unaligned)} of {len(part)} variants have no alignment." if len(unaligned) else None
    weighed = ("cost", "worst", "fits", "aligned")
    part = part.with_columns((pl.col("cost") == 0).alias("aligned"))
    cost, worst, fits, aligned = part.select((pl.col(name) * weights).sum() for name in weighed).row(0)
    kind = net.object_type
    replayed = f"{fits} of {total} objects fit."
    detail = note or f"{aligned} of {total} objects fit."
    known = total > 0 and note is None
    return [
        (kind, "replay_fitness", replay_fitness(part), replayed),
        (kind, "replay_fitting", fits / total if total else None, replayed),
        (kind, "alignment_fitness", (1 - cost / worst if worst else 1.0) if known else None, detail),
        (kind, "alignment_fitting", aligned / total if known else None, detail),
    ]


def _glued_quality(found: GluedReplay) -> tuple[str | None, str, float | None, str | None]:
    """Give the measure of the glued net."""
    value = 1 - found.unfired / found.events if found.events and found.replayable is not None else None
    if found.causes.is_empty():
        return None, "glued_replay", value, "The log can be replayed."
    counted = found.causes.group_by("reason").len().sort("len", "reason", descending=[True, False])
    causes = ", ".join(f"{count} {reason}" for reason, count in counted.iter_rows())
    return None, "glued_replay", value, f"{found.unfired} of {found.events} events cannot be fired: {causes}."

"""From one log's silver tables to its model: the object-centric Petri net, whether it is sound, how well it fits."""

from __future__ import annotations

from typing import Final

import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.conformance import conformance_tables
from ocelake.mining.context_quality import oc_quality, oc_quality_rows
from ocelake.mining.glued import replay_glued
from ocelake.mining.ocpn import discover_ocpn, ocpn_tables
from ocelake.mining.petri_nets import Ocpn
from ocelake.mining.soundness import model_soundness
from ocelake.mining.traces import Traces
from ocelake.mining.variants import find_variants, trace_variants
from ocelake.settings import MiningSettings
from ocelake.tables import as_table, layer_tables

__all__ = ["PARAMETERS", "mine_model"]

PARAMETERS: Final = ("fall_throughs", "strict_sequence_cut", "empty_traces", "variable_arcs")
"""The miner's parameters among `MiningSettings`."""


def mine_model(
    traces: Traces, *, settings: MiningSettings, version: int, publication_id: str
) -> dict[str, pl.DataFrame]:
    """Mine the model of one log, and measure it on that log.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    settings : MiningSettings
        The miner's parameters (`PARAMETERS`).
    version : int
        The number of the publication that the model is for.
    publication_id : str
        The silver publication that the traces are of.

    Returns
    -------
    dict of str to DataFrame
        Every table of the model layer by identifier, as `ocelake.tables` declares it, without ``log_id``; but for
        `ocpn.layout`, which is drawing's.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import Traces
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> traces = encode(pl.DataFrame([{**row, "time": datetime(2024, 1, 1)}]))
    >>> found = mine_model(traces, settings=MiningSettings(), version=1, publication_id="shop.silver.1")
    >>> found["ocpn.models"].select("places", "transitions", "sound", "replayable").row(0)
    (2, 1, True, True)
    """
    variants = find_variants(traces)
    parameters = {name: getattr(settings, name) for name in PARAMETERS}
    ocpn = discover_ocpn(traces, variants, **parameters)
    soundness = model_soundness(ocpn)
    replayed = replay_glued(traces, variants, ocpn)
    mined = ocpn_tables(
        ocpn,
        version=version,
        publication_id=publication_id,
        parameters=parameters,
        sound=soundness.select(pl.col("sound").all(ignore_nulls=False)).item(),
        replayable=replayed.replayable,
    )
    model_id: str = mined["ocpn.models"]["model_id"][0]
    measured = conformance_tables(
        traces,
        variants,
        trace_variants(traces, variants)["variant_id"],
        ocpn,
        model_id,
        replayed=replayed,
        empty_traces=settings.empty_traces,
    )
    quality = _oc_quality_rows(model_id, traces, ocpn)
    found = {
        **mined,
        **measured,
        "gold.model_quality": pl.concat([measured["gold.model_quality"], quality], how="diagonal_relaxed"),
        "gold.model_soundness": soundness.with_columns(model_id=pl.lit(model_id)),
    }
    wanted = [spec.identifier for spec in layer_tables("model") if spec.identifier != "ocpn.layout"]
    return {identifier: as_table(identifier, found[identifier]) for identifier in wanted}


def _oc_quality_rows(model_id: str, traces: Traces, ocpn: Ocpn) -> pl.DataFrame:
    """Measure object-centric fitness and precision; where a net has too many states for that, say so instead."""
    try:
        return oc_quality_rows(model_id, oc_quality(traces, ocpn))
    except OcelakeError as error:
        return pl.DataFrame(
            {
                "model_id": model_id,
                "object_type": pl.Series([None, None], dtype=pl.String),
                "metric": ["oc_fitness", "oc_precision"],
                "value": pl.Series([None, None], dtype=pl.Float64),
                "detail": error.what,
            }
        )

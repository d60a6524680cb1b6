"""Building a layer of predictions in an asset: as `assets.building`, for layers that the model registry is part of.

They are not computed again by the nightly verification, and a training is not passed over where its input is the same:
it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, TypeAlias

import polars as pl
from dagster import AssetExecutionContext

from assets.building import Events, concerns, passed_over
from assets.publishing import publish_or_retry
from assets.specs import check_results, materializations
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import blocking
from ocelake.lake.build import newest_number
from ocelake.lake.features import Prediction
from ocelake.ocel.audit import Finding
from ocelake.predict import newest_sources
from ocelake.tables import READS, Layer

__all__ = ["Made", "build_predicted"]

Made: TypeAlias = tuple[Mapping[str, pl.DataFrame], Mapping[str, Mapping[str, Any]]]
"""The tables of a layer, and the metadata of some of them."""


def build_predicted(
    context: AssetExecutionContext,
    lake: Lake,
    layer: Layer,
    compute: Callable[[Mapping[Layer, PublicationRecord]], Made],
    *,
    audit: Callable[[Mapping[str, pl.DataFrame]], list[Finding]],
    gates: frozenset[str] = frozenset(),
) -> Events:
    """Compute a layer from the newest of those before it, check it, publish it together or not at all, and tell.

    Parameters
    ----------
    compute : callable
        Gives the tables and metadata, from the publications that the layer reads.
    gates : frozenset of str
        Blocking checks that stop the layers after this one, and not this one.
    """
    started, log_id = perf_counter(), context.partition_key
    missing = [name for name in READS[layer] if name == "champions" and lake.latest(log_id, name) is None]
    if missing or not concerns(lake, log_id, "features"):
        yield from passed_over(context)  # a log of prices, or one in which no model is better than its baseline
        return
    read, base = newest_sources(lake, log_id, layer), newest_number(lake, log_id, layer)
    tables, shown = compute(read)
    findings = audit(tables)
    failed = [finding for finding in blocking(findings) if finding.check not in gates]
    if failed:
        context.log.error("Not published: %s", "; ".join(finding.message for finding in failed))
    else:
        settings = Prediction.model_validate(next(iter(read.values())).settings)
        record = publish_or_retry(lake, read, layer, tables, settings=settings, base=base)
        yield from materializations(
            layer,
            common={
                "publication_read": ", ".join(record.reads.values()),
                "publication_written": record.publication_id,
                "seconds": round(perf_counter() - started, 3),
            },
            rows=record.rows,
            extra=shown,
        )
    yield from check_results(findings)

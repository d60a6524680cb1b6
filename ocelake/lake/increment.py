"""Bringing a log's silver and gold up to its newest records, by what these change where that is possible.

The outcome is the same as that of a whole computation (`ocelake.lake.build`); the way is shorter. The stream takes it
every few seconds, the Dagster assets at each run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ocelake.errors import LakeError, StalePublication
from ocelake.lake.audits import audit_silver, blocking
from ocelake.lake.build import (
    STEPS,
    Content,
    latest_or_fail,
    newest_number,
    publish,
    silver_frames,
    silver_tables,
    sources,
    unchanged,
)
from ocelake.lake.silver_changes import silver_changes
from ocelake.ocel.model import Ocel

if TYPE_CHECKING:
    from ocelake.lake.build import Sources
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import PublicationRecord
    from ocelake.ocel.audit import Finding
    from ocelake.settings import LogSettings
    from ocelake.tables import Layer

__all__ = ["Computed", "advance", "compute_silver"]

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """A layer's tables, ready to be published.

    Attributes
    ----------
    tables : mapping of str to Content
        Every table: all of its rows, or what changes in it.
    findings : list of Finding
        What the layer's checks found; of changes, in the rows that were computed.
    incremental : bool
        Whether only changes were computed.
    """

    tables: Mapping[str, Content]
    findings: list[Finding]
    incremental: bool


def compute_silver(lake: Lake, read: Sources, settings: LogSettings, *, whole: bool = False) -> Computed:
    """Compute a log's silver layer from its bronze, and audit it.

    Parameters
    ----------
    read : mapping of Layer to PublicationRecord
        The bronze publication.
    settings : LogSettings
        How the log is read.
    whole : bool
        Whether to compute it as a whole although changes would do.
    """
    bronze = read["bronze"]
    silver = lake.latest(bronze.log_id, "silver")
    previous = None
    if silver is not None:
        names = ("event_types", "object_types")
        previous = Ocel(**{name: lake.read(f"ocel.{name}", bronze.log_id) for name in names})
        changes = None if whole else silver_changes(lake, silver, bronze, settings)
        if changes is not None:
            return Computed(changes.tables, audit_silver(changes.part, settings, previous), incremental=True)
    conformed = silver_frames(lake, bronze.log_id, bronze, settings)
    return Computed(silver_tables(conformed), audit_silver(conformed, settings, previous), incremental=False)


def advance(lake: Lake, log_id: str) -> dict[Layer, PublicationRecord]:
    """Bring silver and gold of a log up to its newest bronze publication.

    Where another process publishes a layer meanwhile, the layer is computed again from what it published.

    Returns
    -------
    dict of Layer to PublicationRecord
        The newest publication of each layer; the same as before where nothing came.

    Raises
    ------
    LakeError
        Where a blocking check failed: its layer, and those after it, stay as they were.
    """
    return {layer: _advanced(lake, log_id, layer) for layer in ("silver", "gold")}


def _advanced(lake: Lake, log_id: str, layer: Layer) -> PublicationRecord:
    for attempt in range(_ATTEMPTS):
        base = newest_number(lake, log_id, layer)
        read, settings = sources(lake, log_id, layer), STEPS[layer].settings(lake, log_id)
        kept = unchanged(lake, read, layer, settings)
        if kept is not None:
            return kept
        try:
            computed = _computed(lake, read, layer, settings, base)
            if failed := blocking(computed.findings):
                raise LakeError(
                    f"The layer {layer} was not published: {'; '.join(finding.message for finding in failed)}.",
                    where=log_id,
                    fix=f"Correct the log or its settings (logs/{log_id}.yaml).",
                )
            return publish(lake, read, layer, computed.tables, settings=settings, base=base)
        except StalePublication:
            if attempt + 1 == _ATTEMPTS:
                raise
            time.sleep(0.1 * attempt)
    return latest_or_fail(lake, log_id, layer)

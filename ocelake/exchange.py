"""A log's current model as a file that other tools read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ocelake.errors import NotFound, SettingError
from ocelake.mining.ocpn import OCPN_TABLES, ocpn_of_tables
from ocelake.mining.ocpn_json import Model, to_json
from ocelake.mining.pnml import to_pnml

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.lake.records import AsOf

__all__ = ["write_model"]


def write_model(lake: Lake, log_id: str, out: Path, *, object_type: str | None = None, as_of: AsOf = None) -> None:
    """Write a log's current object-centric Petri net.

    Parameters
    ----------
    out : Path
        ``.json`` for the whole model, ``.pnml`` for the accepting net of one object type.
    object_type : str, optional
        The type, for PNML.

    Raises
    ------
    NotFound
        Where the log has no model at that moment, or the model has no net of the type.
    SettingError
        Where PNML is asked for without a type.
    """
    moment = lake.moment(as_of)
    if lake.latest(log_id, "model", moment) is None:
        raise NotFound(f"The log {log_id!r} has no current model at that moment.", fix="See the checks of its run.")
    tables = {name: lake.read(name, log_id, as_of=moment) for name in OCPN_TABLES}
    about = tables["ocpn.models"].row(0, named=True)
    parameters = json.loads(about["parameters"])
    model = Model(ocpn_of_tables(tables), about["version"], about["publication_id"], parameters)
    if out.suffix == ".json":
        out.write_text(to_json(model), encoding="utf-8")
        return
    types = ", ".join(net.object_type for net in model.ocpn.nets) or "none"
    if object_type is None:
        raise SettingError("PNML holds the net of one object type.", fix=f"Name it with --type. The types: {types}.")
    nets = [net for net in model.ocpn.nets if net.object_type == object_type]
    if not nets:
        raise NotFound(f"The model has no net of {object_type!r}.", fix=f"The types with a net: {types}.")
    out.write_text(to_pnml(nets[0]), encoding="utf-8")

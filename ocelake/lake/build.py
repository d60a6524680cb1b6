"""What a layer's tables hold, computed from the layers before it at one publication of each.

The assets publish what these functions give; `verify` computes it again and compares. So every published number has
one way of coming about, and that way can be walked again at its snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl
from pydantic import BaseModel

from ocelake.draw import lay_out_ocpn
from ocelake.errors import NotFound
from ocelake.lake.features import Prediction, feature_tables, load_prediction
from ocelake.lake.kpis import TABLE as WINDOWS
from ocelake.lake.kpis import window_table
from ocelake.lake.outlook import outlook_tables
from ocelake.lake.policy import Policy, load_policy
from ocelake.lake.prices import bar_tables, price_tables
from ocelake.mining.analysis import analyse_log
from ocelake.mining.gold import mine_log
from ocelake.mining.model import mine_model
from ocelake.mining.performance import attribute_names
from ocelake.mining.policy import judge_log, policy_attributes
from ocelake.mining.resources import resource_attributes
from ocelake.ocel.conform import Conformed, conform
from ocelake.ocel.model import Ocel
from ocelake.settings import KpiSettings, LogSettings, MiningSettings, PriceSettings
from ocelake.tables import READS, TABLES, as_table, layer_tables

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.publication import PublicationRecord
    from ocelake.tables import Layer

__all__ = [
    "DRAWN",
    "STEPS",
    "Content",
    "Step",
    "Verification",
    "build_log",
    "latest_or_fail",
    "log_layers",
    "named_attributes",
    "newest_number",
    "publish",
    "published_silver",
    "published_tables",
    "silver_frames",
    "silver_tables",
    "sources",
    "unchanged",
    "verify",
]

Tables: TypeAlias = dict[str, pl.DataFrame]
Content: TypeAlias = pl.DataFrame | tuple[pl.DataFrame, pl.DataFrame]
"""All rows of a table, or the rows that go and those that come."""
Sources: TypeAlias = "Mapping[Layer, PublicationRecord]"

_SILVER_INPUT = ("bronze.event_records", "bronze.object_records", "bronze.batches")

_GOLD_INPUT: Final[Mapping[str, list[str] | None]] = {"ocel.events": ["activity", "time"]}

_ANALYSIS_INPUT: Final[Mapping[str, list[str] | None]] = {"ocel.object_objects": ["source_id", "target_id"]}

_POLICY_INPUT: Final[Mapping[str, list[str] | None]] = {
    "ocel.event_objects": ["event_id", "object_id", "qualifier", "activity", "object_type"],
    "ocel.object_objects": ["source_id", "target_id", "qualifier"],
}

_OF_PRICES: Final[frozenset[Layer]] = frozenset({"prices", "bars"})

DRAWN: Final = ("places", "transitions", "arcs", "markings")
"""The tables of a model that its picture is drawn from."""


@dataclass(frozen=True, slots=True)
class Step:
    """How one layer comes about.

    Attributes
    ----------
    layer : Layer
        What it writes.
    settings : callable
        Gives the settings that a log's layer is computed under, as they are now, from the lake and the log.
    stored : callable
        Reads such settings back from a publication's record.
    compute : callable
        Gives the tables from the lake, the sources by layer, the settings, and the number of the publication.
    """

    layer: Layer
    settings: Callable[[Lake, str], BaseModel]
    stored: Callable[[dict[str, Any]], BaseModel]
    compute: Callable[[Lake, Sources, Any, int], Tables]


@dataclass(frozen=True, slots=True)
class Verification:
    """One published table against its recomputation: rows in both, and in one only."""

    identifier: str
    publication_id: str
    published: int
    recomputed: int
    missing: int
    extra: int

    @property
    def equal(self) -> bool:
        """Whether the published rows are exactly the recomputed ones."""
        return self.missing == 0 and self.extra == 0 and self.published == self.recomputed


def latest_or_fail(lake: Lake, log_id: str, layer: Layer, *, as_of: str | None = None) -> PublicationRecord:
    """Give the newest publication of a layer, or the one that the publication ``as_of`` was computed from.

    Raises
    ------
    NotFound
        Where the log has none.
    """
    record = lake.latest(log_id, layer, as_of)
    if record is None:
        raise NotFound(
            f"Log {log_id!r} has no {layer} publication.",
            where=str(lake.settings.warehouse),
            fix=f"Ingest a file first: ocelake ingest PATH --log {log_id}",
        )
    return record


def silver_frames(lake: Lake, log_id: str, bronze: PublicationRecord, settings: LogSettings) -> Conformed:
    """Compute the OCEL tables of a log from its bronze records at one publication."""
    records, objects, batches = (
        lake.read(identifier, log_id, as_of=bronze.publication_id) for identifier in _SILVER_INPUT
    )
    return conform(records, objects, batches, settings)


def silver_tables(conformed: Conformed) -> dict[str, pl.DataFrame]:
    """Give what the silver publication holds, by table identifier."""
    return {
        **dict(conformed.ocel.frames()),
        "silver.quarantine": conformed.quarantine,
        "silver.accounting": conformed.accounting,
    }


def sources(lake: Lake, log_id: str, layer: Layer, *, as_of: str | None = None) -> Sources:
    """Give the publications that a layer is computed from: the newest of the last one, and what that one read.

    So they agree: the gold publication, and the silver one that it was computed from.

    Raises
    ------
    NotFound
        Where one is missing.
    """
    *before, last = READS[layer]
    newest = latest_or_fail(lake, log_id, last, as_of=as_of)
    read = {name: latest_or_fail(lake, log_id, name, as_of=newest.publication_id) for name in before}
    return {**read, last: newest}


def _silver(lake: Lake, sources: Sources, settings: LogSettings, number: int) -> Tables:
    bronze = sources["bronze"]
    return silver_tables(silver_frames(lake, bronze.log_id, bronze, settings))


def _gold(lake: Lake, sources: Sources, settings: MiningSettings, number: int) -> Tables:
    silver = sources["silver"]
    attributes = named_attributes(lake, silver, "ocel.event_attributes", attribute_names(settings))
    return mine_log(
        {**_read(lake, silver, _GOLD_INPUT), "ocel.event_attributes": attributes},
        settings=settings,
        quarantined=silver.rows["silver.quarantine"],
        counts=silver.rows,
        publication_id=silver.publication_id,
        traces=lake.traces(silver.log_id, silver.publication_id),
    )


def _analysis(lake: Lake, sources: Sources, settings: MiningSettings, number: int) -> Tables:
    silver = sources["silver"]
    names = (*resource_attributes(settings), *attribute_names(settings))
    attributes = named_attributes(lake, silver, "ocel.event_attributes", names)
    tables = {**_read(lake, silver, _ANALYSIS_INPUT), "ocel.event_attributes": attributes}
    return analyse_log(lake.traces(silver.log_id, silver.publication_id), tables, settings=settings)


def _model(lake: Lake, sources: Sources, settings: MiningSettings, number: int) -> Tables:
    silver = sources["silver"]
    traces = lake.traces(silver.log_id, silver.publication_id)
    tables = mine_model(traces, settings=settings, version=number, publication_id=silver.publication_id)
    places, transitions, arcs, markings = (tables[f"ocpn.{part}"] for part in DRAWN)
    layout = lay_out_ocpn(places, transitions, arcs, markings)
    return {**tables, "ocpn.layout": as_table("ocpn.layout", layout)}


def _policy(lake: Lake, sources: Sources, settings: Policy, number: int) -> Tables:
    silver, gold = sources["silver"], sources["gold"]
    if not settings.rules.rules and not settings.costs.stated:
        # Nothing is declared, so there is nothing to read.
        return {spec.identifier: as_table(spec.identifier) for spec in layer_tables("policy")}
    names = policy_attributes(settings.rules, settings.costs, settings.mining)
    tables = {
        **_read(lake, silver, _POLICY_INPUT),
        **_read(lake, gold, {"ocel.execution_events": None}),
        **{table: named_attributes(lake, silver, table, asked) for table, asked in names.items()},
    }
    traces = lake.traces(silver.log_id, silver.publication_id)
    return judge_log(traces, tables, rules=settings.rules, costs=settings.costs, mining=settings.mining)


def _kpis(lake: Lake, sources: Sources, settings: KpiSettings, number: int) -> Tables:
    return {WINDOWS: window_table(lake, sources["silver"], settings)}


def _features(lake: Lake, sources: Sources, settings: Prediction, number: int) -> Tables:
    return feature_tables(lake, sources["silver"], settings)


def _outlook(lake: Lake, sources: Sources, settings: Prediction, number: int) -> Tables:
    return outlook_tables(lake, sources["features"], settings)


def _prices(lake: Lake, sources: Sources, settings: LogSettings, number: int) -> Tables:
    return price_tables(lake, sources["bronze"], settings)


def _bars(lake: Lake, sources: Sources, settings: PriceSettings, number: int) -> Tables:
    return bar_tables(lake, sources["prices"], settings)


STEPS: Final[Mapping[Layer, Step]] = {
    "silver": Step("silver", lambda lake, log: lake.settings.log(log), LogSettings.model_validate, _silver),
    "gold": Step("gold", lambda lake, log: lake.settings.mining(log), MiningSettings.model_validate, _gold),
    "analysis": Step("analysis", lambda lake, log: lake.settings.mining(log), MiningSettings.model_validate, _analysis),
    "model": Step("model", lambda lake, log: lake.settings.mining(log), MiningSettings.model_validate, _model),
    "policy": Step("policy", load_policy, Policy.model_validate, _policy),
    "kpis": Step("kpis", lambda lake, log: lake.settings.kpis(log), KpiSettings.model_validate, _kpis),
    "features": Step("features", load_prediction, Prediction.model_validate, _features),
    "outlook": Step("outlook", load_prediction, Prediction.model_validate, _outlook),
    "prices": Step("prices", lambda lake, log: lake.settings.log(log), LogSettings.model_validate, _prices),
    "bars": Step("bars", lambda lake, log: lake.settings.prices(log), PriceSettings.model_validate, _bars),
}
"""How every layer after bronze comes about, in the order in which a log goes through them."""


def log_layers(lake: Lake, log_id: str) -> tuple[Layer, ...]:
    """Give the layers after bronze that a log goes through: those of events, those of prices, by what its batches hold.

    Raises
    ------
    NotFound
        Where nothing was ingested into the log.
    """
    latest_or_fail(lake, log_id, "bronze")
    ticks = lake.scan("bronze.batches", log_id, columns=["price_ticks"]).select(pl.col("price_ticks").is_not_null())
    brought = set(ticks.collect().to_series())
    return tuple(layer for layer in STEPS if (layer in _OF_PRICES) in brought)


def _read(lake: Lake, source: PublicationRecord, columns: Mapping[str, list[str] | None]) -> Tables:
    moment = lake.moment(source.publication_id)
    return {name: lake.read(name, source.log_id, as_of=moment, columns=wanted) for name, wanted in columns.items()}


def named_attributes(lake: Lake, silver: PublicationRecord, table: str, names: Sequence[str]) -> pl.DataFrame:
    """Read the values of a few attributes, pruned where the file is read."""
    rows = lake.scan(table, silver.log_id, as_of=silver.publication_id)
    return rows.filter(pl.col("name").is_in(list(names))).collect()


def newest_number(lake: Lake, log_id: str, layer: Layer) -> int:
    """Give the number of a layer's newest publication; 0 where there is none."""
    latest = lake.latest(log_id, layer)
    return latest.number if latest else 0


def unchanged(lake: Lake, sources: Sources, layer: Layer, settings: BaseModel) -> PublicationRecord | None:
    """Give a layer's newest publication where it was computed from these very sources and settings, else None."""
    latest = lake.latest(_log(sources), layer)
    same_settings = latest is not None and latest.settings == settings.model_dump(mode="json")
    same_sources = latest is not None and latest.reads == _reads(sources)
    return latest if same_settings and same_sources else None


def _reads(sources: Sources) -> dict[str, str]:
    return {layer: source.publication_id for layer, source in sources.items()}


def _log(sources: Sources) -> str:
    (log_id,) = {source.log_id for source in sources.values()}
    return log_id


def published_tables(lake: Lake, record: PublicationRecord) -> dict[str, pl.DataFrame]:
    """Read what a publication holds: its tables of its log, by identifier, sorted."""
    moment = lake.moment(record.publication_id)
    return {
        spec.identifier: lake.read(spec.identifier, record.log_id, as_of=moment).sort(
            [name for name in spec.sort if name not in spec.partition]
        )
        for spec in layer_tables(record.layer)
    }


def published_silver(lake: Lake, record: PublicationRecord) -> Conformed:
    """Read what a silver publication holds."""
    tables = published_tables(lake, record)
    frames = {name.removeprefix("ocel."): frame for name, frame in tables.items() if name.startswith("ocel.")}
    return Conformed(Ocel(**frames), tables["silver.quarantine"], tables["silver.accounting"])


def publish(
    lake: Lake,
    sources: Sources,
    layer: Layer,
    tables: Mapping[str, Content],
    *,
    settings: BaseModel,
    base: int | None = None,
) -> PublicationRecord:
    """Publish a layer's tables, computed from publications of the layers before it, together or not at all.

    Parameters
    ----------
    tables : mapping of str to Content
        Every table of the layer: its rows, or what changes in it.
    base : int, optional
        The layer's newest number when the computation began (`newest_number`): whoever publishes meanwhile was first.

    Raises
    ------
    StalePublication
        Where another process published the layer meanwhile: compute again from the newest state.
    """
    with lake.publication(_log(sources), layer, reads=_reads(sources), settings=settings, base=base) as publication:
        for identifier, content in tables.items():
            if isinstance(content, tuple):
                publication.amend(identifier, remove=content[0], add=content[1])
            else:
                publication.replace(identifier, content)
        return publication.commit()


def build_log(lake: Lake, log_id: str) -> dict[Layer, PublicationRecord]:
    """Build and publish every layer of a log from its bronze, without an orchestrator; give the publications.

    The Dagster assets take the same steps with checks in between; this is for notebooks and benchmarks.
    """
    made: dict[Layer, PublicationRecord] = {}
    for layer in log_layers(lake, log_id):
        step = STEPS[layer]
        read, settings = sources(lake, log_id, layer), step.settings(lake, log_id)
        tables = step.compute(lake, read, settings, newest_number(lake, log_id, layer) + 1)
        made[layer] = publish(lake, read, layer, tables, settings=settings)
    return made


def verify(lake: Lake, log_id: str) -> list[Verification]:
    """Compute every layer of a log again, from the publications and settings it was built from, and compare.

    Returns
    -------
    list of Verification
        One for each table of the newest publication of each layer that there is.
    """
    found: list[Verification] = []
    for layer, step in STEPS.items():
        record = lake.latest(log_id, layer)
        if record is not None:
            read = sources(lake, log_id, layer, as_of=record.publication_id)
            tables = step.compute(lake, read, step.stored(record.settings), record.number)
            found += _compare(lake, record, tables)
    return found


def _compare(lake: Lake, record: PublicationRecord, recomputed: Mapping[str, pl.DataFrame]) -> list[Verification]:
    found = []
    for identifier, frame in recomputed.items():
        published = lake.read(identifier, record.log_id, as_of=record.publication_id).select(frame.columns)
        ours, theirs = (_hashes(rows.drop(TABLES[identifier].provenance)) for rows in (published, frame))
        both = ours.join(theirs, on="row", how="full", suffix="_again", coalesce=True).fill_null(0)
        differs = pl.col("len").cast(pl.Int64) - pl.col("len_again").cast(pl.Int64)
        extra = both.select(differs.clip(lower_bound=0).sum()).item()
        missing = both.select((-differs).clip(lower_bound=0).sum()).item()
        found.append(Verification(identifier, record.publication_id, published.height, frame.height, missing, extra))
    return found


def _hashes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(row=rows.hash_rows(seed=0)).group_by("row").len()

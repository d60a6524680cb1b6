"""Landed files to bronze records, one batch a file, and topics, one batch for each range of a partition."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)
from pydantic import Field

from assets.bronze.topics import read_named
from assets.specs import asset_key, check_spec, materializations, table_specs
from ocelake.errors import LogRefused, OcelakeError
from ocelake.lake import Lake
from ocelake.lake.ingest import Ingested, ingest
from ocelake.landing import landed_files
from ocelake.tables.bronze import SPECS as EVENT_TABLES
from resources import LakeResource

__all__ = ["LandedFiles", "bronze"]

_READABLE = check_spec(
    "files_readable",
    "bronze.batches",
    description="Every landed file of the log was read; the refused ones are named, with the reason.",
)


class LandedFiles(Config):
    """Which landed files to read."""

    files: list[str] = Field(
        default_factory=list,
        description="Names in landing/<log>/; none means all. A file that was read before is no new batch.",
    )
    topics: list[str] = Field(
        default_factory=list,
        description="Kafka topics to read instead, up to what they have now; the rest as in logs/<log>.stream.yaml.",
    )


@multi_asset(
    name="bronze",
    specs=table_specs(EVENT_TABLES, group="bronze"),
    check_specs=[_READABLE],
    pool="lake_bronze",
)
def bronze(
    context: AssetExecutionContext, config: LandedFiles, lake: LakeResource
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Read the landed files of a log, or its topics; a refused file does not keep the others back."""
    store, log_id = lake.open(), context.partition_key
    if config.topics:
        yield from _read_topics(store, log_id, config.topics)
        return
    folder = store.settings.landing / log_id
    paths = [folder / name for name in config.files] or landed_files(folder)
    if any(path.resolve().parent != folder.resolve() for path in paths):
        raise Failure(description=f"A file is not in the landing folder {folder}.", allow_retries=False)
    batches: list[Ingested] = []
    refused: dict[str, str] = {}
    for path in paths:
        try:
            batches.append(ingest(store, path, log_id))
        except LogRefused as error:
            refused[path.name] = str(error)
            context.log.error("%s refused: %s", path.name, error)
    yield _readable(paths, refused)
    record = store.latest(log_id, "bronze")
    if refused and not any(not batch.already for batch in batches):
        raise Failure(
            description="; ".join(f"{name}: {reason}" for name, reason in refused.items()), allow_retries=False
        )
    if record is None:
        raise Failure(description=str(_nothing_landed(folder)), allow_retries=False)
    rows = {
        "bronze.event_records": sum(batch.events for batch in batches),
        "bronze.object_records": sum(batch.objects for batch in batches),
        "bronze.batches": len(batches),
    }
    yield from materializations(
        "bronze",
        common={
            "publication_written": record.publication_id,
            "batch_ids": [batch.batch_id for batch in batches],
            "new_batches": sum(not batch.already for batch in batches),
            "seconds": round(sum(batch.seconds for batch in batches), 3),
        },
        rows=rows,
    )


def _read_topics(lake: Lake, log_id: str, topics: list[str]) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    made, told = read_named(lake, log_id, topics)
    if made:
        rows = Counter[str]()
        for done in made:
            rows.update(done.publication.rows)
        common = {"publication_written": made[-1].publication.publication_id, **told}
        yield from materializations("bronze", common=common, rows=rows)
    yield _readable([], {})


def _readable(paths: list[Path], refused: dict[str, str]) -> AssetCheckResult:
    return AssetCheckResult(
        asset_key=asset_key("bronze.batches"),
        check_name="files_readable",
        passed=not refused,
        severity=AssetCheckSeverity.ERROR,
        description=f"{len(paths) - len(refused)} of {len(paths)} files were read.",
        metadata={name: MetadataValue.text(reason) for name, reason in refused.items()},
    )


def _nothing_landed(folder: Path) -> OcelakeError:
    return OcelakeError(
        "No file has landed for this log, and none was read before.",
        where=str(folder),
        fix="Put a log file there, or run: ocelake ingest PATH --log LOG",
    )

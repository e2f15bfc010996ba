"""An unfinished backfill in the metrics, in the status and in traces."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from my_service.migrate import run_backfills, run_migrations
from my_service.operations.metrics import measure
from my_service.operations.overview import Overview, read_overview
from my_service.operations.spans import TracedRun
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from engine.support import Database, Folder

CHECKED = "CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL, n INTEGER NOT NULL CHECK (n < 300))"
FILL = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 350)"
    " INSERT INTO t SELECT x, 0 FROM c"
)
BACKFILL = """from my_service.migrate import Backfill

phase = "backfill"
backfill = Backfill(table="t", set={"n": "id"})
"""


def numbers(overview: Overview) -> dict[str, float]:
    """The samples, by their names and the values of their labels."""
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for metric in measure(overview)
        for sample in metric.samples
    }


def test_a_failed_backfill_is_in_metrics_status_and_traces(
    engine: sa.Engine, folder: Folder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("my_service.migrate.backfilling.LARGEST_SIZE", 100)
    # A slow machine does not make them smaller.
    monkeypatch.setattr("my_service.migrate.backfilling.AIM_SECONDS", 1000.0)
    database.ask(CHECKED)
    database.ask(FILL)
    folder.add("more", extra=BACKFILL)
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    quick = {"backfill_pause": 0.0, "table_lock_retries": 0}
    config = folder.config(observer=TracedRun(provider.get_tracer("test")), **quick)
    assert not run_migrations(engine, config=config).success
    overview = read_overview(engine, config)
    assert overview.sentence == "1 backfill is not finished, stopped by an error."
    assert not overview.is_well
    counted = numbers(overview)
    assert (counted["backfills_unfinished"], counted["backfills_stopped"]) == (1, 1)
    assert (counted["backfill_rows/done"], counted["backfill_rows/left"]) == (200, 150)
    chunks = [span for span in spans.get_finished_spans() if span.name == "chunk of 001_more"]
    # The first chunk finds the last key.
    assert [span.status.is_ok for span in chunks] == [True, True, True, False]
    assert all(span.end_time > span.start_time for span in chunks)
    database.ask("DELETE FROM t WHERE id >= 300")
    run_backfills(engine, config=config)
    assert numbers(read_overview(engine, config))["backfills_unfinished"] == 0

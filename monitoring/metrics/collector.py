"""The metrics, read from PostgreSQL and Redis at each scrape.

All state is there, so any process may answer a scrape, and no counter is reset when one restarts. Counters
are the sums of the books, which fall only where a database is restored or Redis begins anew. What is not
known is left out: `iot_store_up` says which of the two did not answer.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from batches.store import BatchStore
from monitoring import __version__, books, status
from monitoring.models import IngestBatch, RejectedTally
from monitoring.pipeline import picture
from monitoring.rollups.levels import LEVELS
from monitoring.upkeep.partitions import MEASUREMENTS, existing
from process.heartbeat import REMEMBERED_SECONDS, signs

logger = logging.getLogger(__name__)


class State(Collector):
    def __init__(self, store: BatchStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        begun = time.perf_counter()
        yield _gauge("iot_build_info", "The version that answers.", {__version__: 1}, "version")
        up = {}
        for store, read, faults in (
            ("redis", self._redis, (RedisError, OSError)),
            ("database", self._database, (DatabaseError, InterfaceError)),
            ("both", self._both, (RedisError, OSError, DatabaseError, InterfaceError)),
        ):
            try:
                yield from list(read())
                up[store] = 1
            except faults as error:
                logger.warning("metrics without %s: %s", store, error)
                up[store] = 0
        del up["both"]
        yield _gauge("iot_store_up", "Whether Redis and PostgreSQL answer.", up, "store")
        seconds = time.perf_counter() - begun
        yield _gauge("iot_scrape_duration_seconds", "How long this answer took to read.", seconds)

    def _redis(self) -> Iterator[Metric]:
        figures = self._store.figures()
        yield _counter("iot_messages_handed_over", "Messages that Redis was given.", figures.handed_over)
        yield _counter(
            "iot_messages_redelivered",
            "Messages that the broker sent again, recognised and dropped.",
            figures.redelivered,
        )
        for name, what, value in (
            ("iot_pending_messages", "Messages that wait to be stored.", figures.pending_messages),
            ("iot_pending_batches", "Batches that wait to be stored.", figures.pending_batches),
            ("iot_pending_bytes", "What they count towards BATCHES_MAX_BYTES.", figures.pending_bytes),
            ("iot_pending_max_bytes", "BATCHES_MAX_BYTES.", self._store.max_bytes),
        ):
            yield _gauge(name, what, value)
        oldest = figures.oldest_pending
        yield _gauge(
            "iot_pending_oldest_age_seconds",
            "For how long the oldest batch has waited; 0 where none does.",
            0 if oldest is None else max(0.0, time.time() - oldest),
        )
        found = signs(self._store.redis)
        up = {name: sign.works for name, sign in found.items()}
        yield _gauge("iot_process_up", "Whether a process of this kind is at work.", up, "process")
        seen = {
            name: round(time.time() - sign.age_s, 3) for name, sign in found.items() if sign.age_s is not None
        }
        yield _gauge(
            "iot_process_last_seen_timestamp_seconds",
            f"When it was at work last; forgotten after {REMEMBERED_SECONDS // 3600} h.",
            seen,
            "process",
        )

    def _database(self) -> Iterator[Metric]:
        ledger = IngestBatch.objects.sums()
        yield _counter("iot_batches_ingested", "Batches in the ledger.", ledger["batches"])
        yield _counter("iot_messages_ingested", "Messages in the ledger.", ledger["messages"])
        outcomes = {"stored": "stored", "duplicate": "duplicates", "rejected": "rejected"}
        yield _counter(
            "iot_readings",
            "Readings in the ledger, by what became of them.",
            {label: ledger[name] for label, name in outcomes.items()},  # type: ignore[literal-required]
            "outcome",
        )
        # What a replay is refused for is counted under the new reason: these may fall, so they are gauges.
        by_code = RejectedTally.objects.by_code()
        for name, what, count in (
            ("iot_rejected_readings", "Readings rejected since the first day, by code.", "seen"),
            ("iot_rejected_waiting_readings", "Of these, those that wait for somebody.", "waiting"),
        ):
            yield _gauge(
                name,
                what,
                {code: seen[count] for code, seen in by_code.items()},  # type: ignore[literal-required]
                "code",
            )
        yield from self._latency()
        yield _gauge(
            "iot_rollups_pending_batches",
            "Batches whose minutes no refresh of the rollups has taken.",
            IngestBatch.objects.untaken().count(),
        )
        yield from self._partitions()
        yield _gauge("iot_sensors", "Sensors by status.", status.counts(), "status")

    def _latency(self) -> Iterator[Metric]:
        found = picture.latency()
        lately = f"of the messages of the last {picture.LATENCY_MINUTES} minutes"
        for name, what, p50, p99 in (
            ("iot_ingest_latency_seconds", "From received to stored", found.p50, found.p99),
            ("iot_ingest_wait_seconds", "From received to taken up", found.waited_p50, found.waited_p99),
        ):
            values = {label: value for label, value in (("50", p50), ("99", p99)) if value is not None}
            yield _gauge(name, f"{what}, {lately}.", values, "percentile")

    def _partitions(self) -> Iterator[Metric]:
        now = datetime.now(UTC)
        spans = {
            table.name: list(existing(table).values())
            for table in (MEASUREMENTS, *(level.table for level in LEVELS))
        }
        counts = {table: len(found) for table, found in spans.items()}
        yield _gauge("iot_partitions", "Partitions; 120 are the most.", counts, "table")
        ahead = {
            table: (max(span.end for span in found) - now).total_seconds()
            for table, found in spans.items()
            if found
        }
        yield _gauge("iot_partitions_ahead_seconds", "Until the last one ends.", ahead, "table")

    def _both(self) -> Iterator[Metric]:
        missing = books.missing(self._store)
        if missing is not None:
            yield _gauge(
                "iot_messages_missing",
                "Messages that are neither pending, in the ledger nor corrected; unknown to Redis: below 0.",
                missing,
            )


# One, or one for each value of a label.
Values = float | Mapping[str, float]


def _gauge(name: str, what: str, values: Values, label: str = "") -> Metric:
    return _filled(GaugeMetricFamily(name, what, labels=[label] if label else []), values)


def _counter(name: str, what: str, values: Values, label: str = "") -> Metric:
    """Its sample is called `name`_total."""
    return _filled(CounterMetricFamily(name, what, labels=[label] if label else []), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    if isinstance(values, Mapping):
        for said, value in values.items():
            family.add_metric([said], value)
    else:
        family.add_metric([], values)
    return family

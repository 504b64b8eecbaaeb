"""What the service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from relume.service.body import Ledger
from relume.service.pool import Pool

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        here = self.registry
        ProcessCollector(registry=here)
        self.requests = Counter(
            "relume_requests", "Answers, by path and status.", ("path", "status"), registry=here
        )
        self.seconds = Histogram(
            "relume_photo_seconds", "Time of a worker for a photo.", buckets=_SECONDS, registry=here
        )
        self.deaths = Counter(
            "relume_worker_deaths", "Workers that died, by what of.", ("reason",), registry=here
        )
        self.received = Counter("relume_received_bytes", "Bytes of photos that came in.", registry=here)
        self.sent = Counter("relume_sent_bytes", "Bytes of results that went out.", registry=here)

    def watch(self, pool: Pool, ledger: Ledger) -> None:
        """Show what these hold when the metrics are asked for."""
        for name, about, value in (
            ("relume_workers", "Workers that run.", lambda: pool.alive),
            ("relume_busy", "Photos that a worker has.", lambda: pool.busy),
            ("relume_waiting", "Photos that wait for a worker.", lambda: pool.waiting),
            ("relume_transit_bytes", "Bytes of bodies and results on their way.", lambda: ledger.held),
        ):
            Gauge(name, about, registry=self.registry).set_function(value)

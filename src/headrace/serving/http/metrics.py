"""Prometheus metrics: requests, latencies, the served log, and the lag of features.

With several workers, set `PROMETHEUS_MULTIPROC_DIR` before the first metric is created; then each
worker reports the sums over all workers.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric

SHARED = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True)
class Lag:
    """Lag of the served data behind the published data of one table, in seconds.

    `age_s` is the time since the last served commit; `behind_s` is the time since the first commit
    that is not served yet (0 if there is none).
    """

    table: str
    age_s: float
    behind_s: float


Lags = Callable[[], Iterable[Lag]]
Taints = Callable[[], Sequence[str]]


class Metrics:
    """Prometheus metrics of one process."""

    def __init__(self, lags: Lags, taints: Taints = tuple) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._lags, self._taints = lags, taints
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._registry = CollectorRegistry()
        options: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter(
            "headrace_requests", "Answers by path and status.", ("path", "status"), **options
        )
        self._seconds = Histogram(
            "headrace_request_seconds",
            "Seconds from the arrival of a request to its answer.",
            ("path",),
            buckets=_SECONDS,
            **options,
        )
        self._vectors = Counter("headrace_vectors", "Feature vectors returned.", **options)
        self._logged = Counter("headrace_served_log_rows", "Rows in the served log.", **options)
        self._waiting = Gauge(
            "headrace_served_log_waiting",
            "Answers in the queue of the served log, not written yet.",
            multiprocess_mode="livesum",
            **options,
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        # Cached, because finding the counter for these labels takes longer than counting.
        children = self._children.get((path, status))
        if children is None:
            children = self._requests.labels(path, str(status)), self._seconds.labels(path)
            self._children[path, status] = children
        requests, took = children
        requests.inc()
        took.observe(seconds)

    def served(self, vectors: int) -> None:
        self._vectors.inc(vectors)

    def logged(self, rows: int, waiting: int) -> None:
        self._logged.inc(rows)
        self._waiting.set(waiting)

    def text(self) -> bytes:
        """Return all metrics in the exposition format."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        lags = CollectorRegistry()
        lags.register(_Lagging(self._lags, self._taints))
        return bytes(generate_latest(registry) + generate_latest(lags))


class _Lagging:
    """Collector that reads lags and taints when Prometheus scrapes the endpoint."""

    def __init__(self, lags: Lags, taints: Taints) -> None:
        self._lags, self._taints = lags, taints

    def describe(self) -> list["Metric"]:
        return []

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client.core import GaugeMetricFamily

        age = GaugeMetricFamily(
            "headrace_frontier_age_seconds",
            "Seconds since the last commit that answers include.",
            labels=("table",),
        )
        behind = GaugeMetricFamily(
            "headrace_frontier_lag_seconds",
            "Seconds since the first published commit that answers lack; 0 if there is none.",
            labels=("table",),
        )
        for lag in self._lags():
            age.add_metric([lag.table], lag.age_s)
            behind.add_metric([lag.table], lag.behind_s)
        yield age
        yield behind
        tainted = "Recalled batches that the current model was trained on; the model still answers."
        yield GaugeMetricFamily("headrace_model_taints", tainted, value=len(self._taints()))

"""Prometheus: what this process counts. Labels are of closed lists only, never of a request."""

import os
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from broker.runtime.clock import ticking
from broker.runtime.database import Database, Transaction, Unavailable

T = TypeVar("T")
Mode = Literal["livesum", "livemostrecent"]
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_UNIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 15.0)
_facts: ContextVar[list[tuple[str, str]] | None] = ContextVar("facts", default=None)


class Metrics:
    """All that is measured, by name. Several processes share a folder, see `share`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "endpoint", "method", "status")
        self.seconds = Histogram(
            "broker_request_seconds",
            "How long answers took.",
            ("endpoint",),
            registry=self.registry,
            buckets=_REQUEST_BUCKETS,
        )
        self.under_way = self._gauge("requests_under_way", "Requests not answered yet.", "livesum")
        self.tokens = self._counter("tokens_issued", "Token responses.", "grant_type")
        self.refusals = self._counter("refusals", "Requests refused.", "endpoint", "reason")
        self.facts = self._counter("audit_facts", "Facts recorded and committed.", "fact", "outcome")
        self.units = Histogram(
            "broker_database_unit_seconds",
            "How long units of work took, waiting included.",
            ("kind",),
            registry=self.registry,
            buckets=_UNIT_BUCKETS,
        )
        self.database_failures = self._counter("database_failures", "Units that did not happen.", "kind")
        self.ephemeral_failures = self._counter("ephemeral_failures", "Times the shared counters failed.")
        self.duties = self._counter("duty_runs", "Rounds of background duties.", "duty", "outcome")
        self.leases = self._gauge("leases_held", "Duties that this server does now.", "livesum", "duty")
        self.keys = self._gauge("signing_keys", "Published keys of all doors.", "livemostrecent", "state")
        self.waiting = self._gauge("refusals_waiting", "Refusals counted, not yet recorded.", "livesum")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"broker_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, mode: Mode, *labels: str) -> Gauge:
        return Gauge(f"broker_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)


def share(folder: Path) -> None:
    """From now on, metrics made here and in child processes keep their values in files of `folder`."""
    # prometheus-client takes the folder from its environment alone, and looks when it is imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # noqa: TID251  written, not read
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # the library has no types here


def count_fact(fact: str, outcome: str) -> None:
    """Within a unit of work: one more, if the unit commits."""
    facts = _facts.get()
    if facts is not None:
        facts.append((fact, outcome))


class Measured:
    """A database whose units are timed, and whose committed facts are counted."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database, self._metrics = database, metrics
        self._writes, self._reads = (metrics.units.labels(kind) for kind in ("write", "read"))

    def write(
        self, work: Callable[[Transaction], T], tenant: str | None = None, *, throwing: bool = False
    ) -> T:
        facts: list[tuple[str, str]] = []

        def counted(tx: Transaction) -> T:
            facts.clear()  # the engine may run a unit again
            token = _facts.set(facts)
            try:
                return work(tx)
            finally:
                _facts.reset(token)

        began = ticking()
        try:
            result = self._database.write(counted, tenant, throwing=throwing)
        except Unavailable:
            self._metrics.database_failures.labels("write").inc()
            raise
        finally:
            self._writes.observe(ticking() - began)
        for fact in facts:
            self._metrics.facts.labels(*fact).inc()
        return result

    def read(self, work: Callable[[Transaction], T], tenant: str | None = None) -> T:
        began = ticking()
        try:
            return self._database.read(work, tenant)
        except Unavailable:
            self._metrics.database_failures.labels("read").inc()
            raise
        finally:
            self._reads.observe(ticking() - began)

    def close(self) -> None:
        self._database.close()

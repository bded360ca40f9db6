"""Streams under the daemon: a sensor launches runs that consume waiting events in micro-batches.

A run ends when no event waits, or after some minutes, so that its log stays short. Events wait
until the sensor has launched a run; a separate consumer (`headrace stream run`) has no such delay.
"""

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names, metadata
from headrace.dagster.failures import readable
from headrace.dagster.sensors.backoff import not_now, request

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.streams import Stream
    from headrace.streams.consume import PublishedBatch

SECONDS = 300.0


def stream_name(stream: "Stream") -> str:
    """Return the name of the stream's job and sensor."""
    return "stream_" + re.sub(r"\W", "_", stream.name, flags=re.ASCII)


def stream_job(
    pipeline: "Pipeline",
    stream: "Stream",
    home: Callable[[], Home] = Home.find,
    seconds: float = SECONDS,
) -> dg.JobDefinition:
    """Return the job that consumes waiting events exactly once, for at most about `seconds`.

    It finishes the current micro-batch before it ends. A run that consumed any event materialises
    the table.
    """
    table, name = pipeline.table(stream.table), stream_name(stream)

    @dg.op(name=f"{name}__consume")
    def consume(context: dg.OpExecutionContext) -> None:
        from headrace.lake.ledger.conservation import table_status
        from headrace.streams.consume import run_stream

        batches: list[PublishedBatch] = []

        def took(batch: "PublishedBatch") -> None:
            batches.append(batch)
            figures = (batch.events, batch.verdict, batch.seconds)
            context.log.info("%d events, %s, %.2f s", *figures)

        stop = threading.Event()
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
        try:
            with readable():
                events = run_stream(stream, table, home(), once=True, stop=stop, on_batch=took)
        finally:
            timer.cancel()
        if events:
            status = table_status(home(), table)
            entries: dict[str, Any] = {
                "stream": stream.name,
                "events": events,
                "micro-batches": len(batches),
                "the whole table": dg.MetadataValue.md(metadata.status_table(status)),
            }
            context.log_event(
                dg.AssetMaterialization(asset_names.table_key(table.name), metadata=entries)
            )

    @dg.job(
        name=name,
        description=f"Ingest events of {stream.name} into {table.name}, until none waits or"
        f" {seconds:.0f} s have passed.",
        tags={"headrace/pipeline": pipeline.name},
    )
    def consumed() -> None:
        consume()

    return consumed


def stream_sensor(
    pipeline: "Pipeline", stream: "Stream", home: Callable[[], Home] = Home.find
) -> dg.SensorDefinition:
    """Return the sensor that runs the stream job while events wait and no consumer runs."""
    table, name = pipeline.table(stream.table), stream_name(stream)

    @dg.sensor(
        name=name,
        job_name=name,
        minimum_interval_seconds=30,
        description=f"Launches a run while events of {stream.name} wait.",
    )
    def waiting(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from headrace.core.errors import SourceError
        from headrace.streams.status import stream_status

        if reason := not_now(context.instance, name, pipeline.name):
            return dg.SkipReason(reason)
        status = stream_status(stream, table, home())
        if status["state"] in {"running", "disconnected"}:
            return dg.SkipReason("a separate consumer is running")
        if status["broker_error"]:
            raise SourceError(status["broker_error"], where=f"stream {stream.name}")
        waits = status["lag"]["events"] + status["unjudged"] + status["about_to_lose"]
        return request(pipeline.name) if waits else dg.SkipReason("no event waits")

    return waiting

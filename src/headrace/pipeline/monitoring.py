"""The last stage: what the monitor of a pipeline is given to see. Safe to run again."""

from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.clock import now_us
from headrace.home import Home
from headrace.lake.inspect import slot_rows
from headrace.pipeline.build import Built, feature_frame
from headrace.pipeline.declare import Pipeline
from headrace.pipeline.workshop import leave, workshop
from headrace.progress import report

if TYPE_CHECKING:
    from headrace.datasets import Dataset
    from headrace.models import ModelRecord


def run_monitors(pipeline: Pipeline, home: Home, now: int | None = None) -> Built:
    """Judge every closed window over all rows, released or not, and record the decisions.

    `now` (us, UTC) is the moment to judge by, instead of the clock's: windows that end later wait.
    """
    from headrace.datasets import open_release
    from headrace.models import champion
    from headrace.monitoring.report import markdown
    from headrace.monitoring.run import monitor
    from headrace.monitoring.seen import keep_seen
    from headrace.pipeline.monitor_report import tell_owner

    report("monitors", 0, 1)
    shop = workshop(pipeline, home)
    dataset = open_release(f"{pipeline.dataset.name}@latest", store=home.store)
    record = champion(home, pipeline.model.name)
    until = pipeline.last_slot
    run = monitor(
        pipeline.monitor,
        feature_frame(shop).select(["t", *dataset.manifest.features]),
        _out_of_sample(record, dataset) if record else None,
        [row for table in pipeline.tables for row in slot_rows(home, table, until)],
        home,
        min(now_us() if now is None else now, pipeline.dataset.cutoff_us),
        trained_at=pipeline.dataset.training_until,
    )
    keep_seen(home, run)
    tell_owner(pipeline, home)
    leave()
    report("monitors", 1, 1)
    return Built(
        {**run.to_json()["actions"], "windows": len(run.results), "plots": {"md": markdown(run)}},
        changed=run.recorded > 0,
    )


def _out_of_sample(record: "ModelRecord", dataset: "Dataset") -> pa.Table | None:
    """`t`, `score`, `label` of the rows that the model was not trained on.

    None where the features have since been given another meaning: their values say nothing of it.
    """
    from headrace.models import predict

    definitions = dataset.manifest.definitions
    if any(definitions.get(view) != meant for view, meant in record.definitions.items()):
        return None
    parts = []
    for split in ("valid", "test"):
        rows = dataset.split(split).arrow
        scored = pa.array(predict(record, rows, definitions=definitions))
        label = rows[record.target].cast(pa.int64())
        moments = rows["t"].cast(pa.int64())
        parts.append(pa.table({"t": moments, "score": scored, "label": label}))
    return pa.concat_tables(parts)

"""Assets of this project, in the order in which data flows.

    deliveries ──> gate ──> tables ──> views ──> release ──> model ──> monitors ──> retraining
                    │          └─────────┴─> online store, served log        (job, by a sensor)
                    ├──> quarantine: rows that failed, with their reasons; not published
                    └──> checks of the table: block, quarantine, warn

`headrace.dagster.flow` connects the factories: there each asset is given those that it reads. Here
a project leaves out stages, or adds assets of its own.
"""

from headrace.dagster import Asset, flow
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    """Return the assets and checks of a pipeline, from its sources to its decisions."""
    chain = flow(pipeline)
    return [
        *chain.deliveries,  # drop folders, an HTTP feed, a database
        *chain.tables,  # deliveries -> gate -> published; rows that fail go to quarantine
        *chain.gate_checks,  # the gate's verdicts on each table
        *chain.views,  # tables -> features as known at each prediction
        *chain.datasets,  # views, spine, label -> dataset versions
        *chain.models,  # release -> challenger, compared with the champion
        *chain.monitoring,  # release, tables, model -> profiles -> drift -> decision
        *chain.serving,  # tables -> online store; views -> served vectors, compared with training
    ]

"""Code location `flights`, which `workspace.yaml` names."""

from assets import assets
from headrace.dagster import definitions
from pipelines.flights import PIPELINE

defs = definitions(PIPELINE, assets(PIPELINE))

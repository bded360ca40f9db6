"""The code location `flights`: what `workspace.yaml` points at."""

from assets import assets
from headrace.dagster import definitions
from pipelines.flights import PIPELINE

defs = definitions(PIPELINE, assets(PIPELINE))

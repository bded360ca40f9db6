"""Scaffolding: create a working project or pipeline from a CSV of a team's own events.

`inspection` examines the file and its time columns. `contract` and `suite` draft the gate from it,
and `pipeline_choices` picks entity, windows, label and splits. `project` assembles the files, and
`files` writes them but never overwrites one. Whatever cannot be derived from the file gets a
working default and a TODO beside it.
"""

from headrace.scaffold.answers import Ask
from headrace.scaffold.project import ScaffoldResult, new_pipeline, new_project, new_source
from headrace.scaffold.sources import new_source_at

__all__ = ["Ask", "ScaffoldResult", "new_pipeline", "new_project", "new_source", "new_source_at"]

"""Scaffolding: create a working project or pipeline from a CSV of a team's own events.

`inspection` examines the file and its time columns. From the results, `contract` drafts a contract,
`suite` drafts a quality suite, and `pipeline_choices` picks entity, windows, label and splits.
`project` assembles the files, and `files` writes them but never overwrites one. Where the file does
not determine a value, the draft has a working default and a TODO.
"""

from headrace.scaffold.answers import Ask
from headrace.scaffold.project import ScaffoldResult, new_pipeline, new_project, new_source
from headrace.scaffold.sources import new_source_at

__all__ = ["Ask", "ScaffoldResult", "new_pipeline", "new_project", "new_source", "new_source_at"]

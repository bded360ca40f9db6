"""Scaffolding: from a CSV of a team's own events to a working project of the same layout.

`look` reads the file, `moments` its times, `contract` and `suite` draft the gate from what was
seen, `choices` picks entity, windows, label and splits, `project` puts the files together, and
`files` writes them without ever overwriting one. What cannot be guessed gets a default that works
and a TODO beside it.
"""

from headrace.scaffold.answers import Ask
from headrace.scaffold.project import ScaffoldResult, new_pipeline, new_project, new_source
from headrace.scaffold.sources import new_source_at

__all__ = ["Ask", "ScaffoldResult", "new_pipeline", "new_project", "new_source", "new_source_at"]

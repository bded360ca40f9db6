"""Contract authoring: edits in place, open questions and YAML formatting."""

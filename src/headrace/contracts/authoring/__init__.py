"""Contract authoring: in-place edits of the YAML, open questions and YAML formatting."""

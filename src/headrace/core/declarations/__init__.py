"""Reading of declarations in YAML: strict, with the line of every error."""

"""Generated pages of the reference, which `python -m tools.reference` writes to docs/reference."""

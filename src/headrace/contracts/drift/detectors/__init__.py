"""Detectors: one module per family of changes; each examines a batch and yields findings."""

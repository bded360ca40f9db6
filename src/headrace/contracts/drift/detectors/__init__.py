"""Detectors: a module for each family of changes, which examines a case and yields findings."""

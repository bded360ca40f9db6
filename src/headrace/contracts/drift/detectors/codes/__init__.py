"""Detectors for columns of codes: new, renamed, missing, merged and exchanged categories."""

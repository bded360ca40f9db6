"""Loaders of the rows of a release: Arrow, pandas, DuckDB, Polars, torch, datasets.

Each module imports its library on first use.
"""

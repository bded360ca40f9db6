"""How the rows of a release reach a program: Arrow, pandas, DuckDB, Polars, torch, datasets.

Each module imports its library when it is used, and none is imported before.
"""

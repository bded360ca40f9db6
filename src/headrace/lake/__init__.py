"""Ingestion and storage: from delivered bytes to published, versioned tables, exactly once.

`ingest.protocol.ingest` is the write-audit-publish protocol, and `outstanding` beside it lists
partitions that need an ingest. `tables.lake.Lake` reads and commits the published tables,
`tables.history.history` reads a table with its commit times, and `ledger.conservation.table_status`
accounts for every row. `ingest.landing.read_landed` returns the delivered bytes of a batch. Only
`tables.iceberg` and `tables.fileio` import pyiceberg.
"""

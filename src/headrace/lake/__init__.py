"""The lake: from a delivery's bytes to published, versioned tables, exactly once.

`ingest.ingest(table, slots, home)` is the write-audit-publish protocol, `ingest.outstanding` says
where it has work. `tables.Lake` is the port to the published tables, `history.history` reads one
with its commit times, `status.table_status` accounts for every row. `landing.read_landed` gives
back the bytes of any batch. pyiceberg is loaded only by `iceberg` and `fileio`.
"""

"""All use of pyiceberg: catalog, table creation, data files, commits.

Other modules import this one only when they need it, because pyiceberg takes seconds to load.
"""

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    pyarrow_to_schema,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestFile
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata, TableMetadataV2
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate, TableUpdate
from pyiceberg.table.update.snapshot import ExpireSnapshots
from pyiceberg.typedef import Record
from pyiceberg.types import DecimalType, IcebergType, LongType, NestedField
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.tables.fileio import HOME
from headrace.lake.tables.relocation import home_path
from headrace.lake.tables.snapshot_files import catalog_uri, check_catalog, warehouse_root

T = TypeVar("T")
NAMESPACE = "headrace"
BATCH_FIELD = 1
KNOWN_AT_FIELD = 4
KEEP_SNAPSHOTS = 50

PROPERTIES = {
    # pyiceberg must not retry a commit, because it could add a batch twice. `retrying` does, and
    # reads the published batches again before each attempt.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "write.metadata.previous-versions-max": "50",
    "write.metadata.delete-after-commit.enabled": "true",
    # Batch ids are read from the statistics, so they must not be truncated there.
    "write.metadata.metrics.default": "counts",
    "write.metadata.metrics.column._batch": "full",
    "write.metadata.metrics.column.event_time": "full",
    "write.metadata.metrics.column.known_at": "full",
}


def open_catalog(home: Home) -> SqlCatalog:
    """Return the catalog with its namespace; several processes may create them at once."""
    check_catalog(home)
    places = (catalog_uri(home), warehouse_root(home), str(home.root))
    try:
        _create_namespace(_catalog(*places))
    except (OperationalError, ProgrammingError):
        # The catalog was deleted or replaced after it was opened.
        _catalog.cache_clear()
        _create_namespace(_catalog(*places))
    return _catalog(*places)


@lru_cache(maxsize=64)
def _catalog(uri: str, warehouse: str, root: str) -> SqlCatalog:
    """Open a catalog once per process: each SQLAlchemy engine has to compile its statements."""
    options = {
        "uri": uri,
        "warehouse": warehouse,
        "py-io-impl": "headrace.lake.tables.fileio.SyncedFileIO",
        HOME: root,
    }
    try:
        catalog = SqlCatalog("headrace", **options)
    except (OperationalError, ProgrammingError, IntegrityError):
        # Another process created the catalog's tables after pyiceberg had looked for them.
        catalog = SqlCatalog("headrace", **options)
    # Close connections after use: a pool would keep one open, and with it its lock, for as long as
    # the catalog is referenced.
    catalog.engine.dispose()
    catalog.engine = create_engine(uri, poolclass=NullPool)
    return catalog


def _create_namespace(catalog: SqlCatalog) -> None:
    with contextlib.suppress(NamespaceAlreadyExistsError, IntegrityError):
        catalog.create_namespace(NAMESPACE)


def load(catalog: SqlCatalog, name: str) -> Table | None:
    """Return the table; None if there is none.

    Raises:
        StateError: files that the catalog names are missing, or another program created the table.
    """
    try:
        table = catalog.load_table((NAMESPACE, name))
    except NoSuchTableError:
        return None
    except FileNotFoundError as error:
        raise StateError(
            f"the catalog names a file of table {name} that is not in this home: {error}",
            where=str(catalog.properties["uri"]),
            fix="the catalog belongs to another home, or the warehouse is incomplete: point"
            " HEADRACE_CATALOG and HEADRACE_WAREHOUSE at those of this home, or restore them",
        ) from error
    if not any(f.field_id == BATCH_FIELD and f.name == "_batch" for f in table.schema().fields):
        raise StateError(
            f"table {name} was made by another program: it has no column _batch",
            where=str(catalog.properties["uri"]),
            fix="point HEADRACE_CATALOG at a catalog of its own, or drop that table",
        )
    return table


def load_or_create(catalog: SqlCatalog, name: str, arrow: pa.Schema, warehouse: str) -> Table:
    """Return the table; create it with the contract's field ids if there is none.

    pyiceberg's `create_table` would renumber the fields, so the first metadata file is written here
    and registered.
    """
    table = load(catalog, name)
    if table is not None:
        return table
    location = f"{warehouse}/{NAMESPACE}/{name}"
    schema = pyarrow_to_schema(arrow)
    metadata = TableMetadataV2(
        location=location,
        table_uuid=uuid.uuid4(),
        schemas=[schema],
        current_schema_id=schema.schema_id,
        last_column_id=schema.highest_field_id,
        partition_specs=[UNPARTITIONED_PARTITION_SPEC],
        default_spec_id=UNPARTITIONED_PARTITION_SPEC.spec_id,
        last_partition_id=UNPARTITIONED_PARTITION_SPEC.last_assigned_field_id,
        sort_orders=[UNSORTED_SORT_ORDER],
        default_sort_order_id=UNSORTED_SORT_ORDER.order_id,
        properties=dict(PROPERTIES),
    )
    path = f"{location}/metadata/00000-{uuid.uuid4()}.metadata.json"
    catalog._write_metadata(metadata, catalog._load_file_io(location=path), path)  # noqa: SLF001
    try:
        return catalog.register_table((NAMESPACE, name), path)
    except (TableAlreadyExistsError, IntegrityError):
        return catalog.load_table((NAMESPACE, name))


def grown_schema(table: Table, arrow: pa.Schema) -> Schema | None:
    """Return the table's schema with the contract's new and renamed fields; None if unchanged.

    A field that the contract no longer has stays in the schema, and is null in new files. It is
    removed only if another field of the contract has its name.

    Raises:
        StateError: a field changed its type, so that old files cannot be read.
    """
    current = table.schema()
    before = {field.field_id: field for field in current.fields}
    new_fields = pyarrow_to_schema(arrow).fields
    for field in new_fields:
        old = before.get(field.field_id)
        if old is not None and not _may_follow(old.field_type, field.field_type):
            raise StateError(
                f"field {field.name} (id {field.field_id}) is now {field.field_type},"
                f" it was {old.field_type}",
                where=f"table {table.name()[-1]}",
                fix="give the changed column a new field id in the contract",
            )
    names = {field.name for field in new_fields}
    ids = {field.field_id for field in new_fields}
    dropped_fields = [f for f in current.fields if f.field_id not in ids and f.name not in names]
    merged = [*new_fields, *dropped_fields]
    if _field_keys(merged) == _field_keys(current.fields):
        return None
    return Schema(*merged, schema_id=max(s.schema_id for s in table.metadata.schemas) + 1)


def _field_keys(fields: Iterable[NestedField]) -> set[tuple[int, str, str]]:
    return {(f.field_id, f.name, str(f.field_type)) for f in fields}


def with_types_of(table: Table, arrow: pa.Schema) -> pa.Schema:
    """Return the contract's schema, with scaled columns in the table's own types.

    A column that Headrace 0.1.0 created stays BIGINT, and a DECIMAL column never loses digits.
    """
    current_types = {field.field_id: field.field_type for field in table.schema().fields}
    fields = list(arrow)
    for place, (field, new) in enumerate(zip(arrow, pyarrow_to_schema(arrow).fields, strict=True)):
        old = current_types.get(new.field_id)
        if isinstance(new.field_type, DecimalType):
            if isinstance(old, LongType):
                fields[place] = field.with_type(pa.int64())
            elif isinstance(old, DecimalType) and _may_follow(new.field_type, old):
                fields[place] = field.with_type(pa.decimal128(old.precision, old.scale))
    return pa.schema(fields)


def _may_follow(old: IcebergType, new: IcebergType) -> bool:
    """Return True if a type may change: BIGINT to DECIMAL (by a rewrite), or to more digits."""
    if isinstance(new, DecimalType) and isinstance(old, LongType):
        return True
    return old == new or (
        isinstance(old, DecimalType)
        and isinstance(new, DecimalType)
        and old.scale == new.scale
        and old.precision <= new.precision
    )


def data_files(table: Table, schema: Schema, paths: Iterable[Path]) -> list[DataFile]:
    """Build manifest entries from Parquet footers; `add_files` refuses files with field ids."""
    plan = compute_statistics_plan(schema, table.metadata.properties)
    ids = {field.name: field.field_id for field in schema.fields}
    files = []
    for path in paths:
        statistics = data_file_statistics_from_parquet_metadata(pq.read_metadata(path), plan, ids)
        files.append(
            DataFile.from_args(
                content=DataFileContent.DATA,
                file_path=str(path),
                file_format=FileFormat.PARQUET,
                partition=Record(),
                file_size_in_bytes=path.stat().st_size,
                sort_order_id=None,
                spec_id=table.metadata.default_spec_id,
                equality_ids=None,
                key_metadata=None,
                **statistics.to_serialized_dict(),
            )
        )
    return files


class _CommitTransaction(Transaction):  # type: ignore[misc]
    """Transaction that derives the table's metadata once for each set of updates.

    pyiceberg derives the metadata, as a deep copy, at every read: a dozen times in a commit.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._derived: tuple[TableMetadata, tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        base, updates = self._table.metadata, self._updates
        derived = self._derived
        if derived is None or derived[0] is not base or derived[1] is not updates:
            self._derived = derived = (base, updates, super().table_metadata)
        return derived[2]


def commit(
    table: Table,
    arrow: pa.Schema | None,
    add: Iterable[Path],
    remove: Iterable[str],
    summary: Mapping[str, str],
) -> tuple[int, list[DataFile]]:
    """Commit one snapshot that adds and removes these files, based on the loaded state of `table`.

    `arrow` is the contract's schema, whose new fields are added to the table's schema; None leaves
    the table's schema unchanged. Returns the snapshot id and the added files.

    Raises:
        CommitFailedException: another commit came in between; nothing was changed.
    """
    removed, home = set(remove), table.io.properties[HOME]
    entries = manifest_entries(table, None) if removed else []
    old = [file for file, _ in entries if home_path(home, file.file_path) in removed]
    transaction = _CommitTransaction(table)
    schema = grown_schema(table, arrow) if arrow is not None else None
    if schema is not None:
        transaction._apply((AddSchemaUpdate(schema=schema), SetCurrentSchemaUpdate(schema_id=-1)))  # noqa: SLF001
    update = transaction.update_snapshot(snapshot_properties=dict(summary))
    producer = update.overwrite() if removed else update.merge_append()
    if removed:
        # Without a predicate, pyiceberg searches no manifest of an unpartitioned table. The
        # predicate only selects manifests: exactly the files named below are removed.
        producer.delete_by_predicate(AlwaysTrue())
    for file in old:
        producer.delete_data_file(file)
    new = data_files(table, schema or table.schema(), add)
    for file in new:
        batch_of(file)
        producer.append_data_file(file)
    producer.commit()
    _expire(table, transaction)
    transaction.commit_transaction()
    return int(producer.snapshot_id), new


def _expire(table: Table, transaction: Transaction) -> None:
    """Remove old snapshots, so that `KEEP_SNAPSHOTS` remain with the new one.

    Their files are deleted later, by maintenance.
    """
    if old := beyond(table, KEEP_SNAPSHOTS - 1):
        ExpireSnapshots(transaction).by_ids(old).commit()


def beyond(table: Table, keep: int) -> list[int]:
    """Return the snapshots that are neither tagged nor among the newest `keep`."""
    newest_first = sorted(table.metadata.snapshots, key=lambda s: s.sequence_number, reverse=True)
    tagged = {ref.snapshot_id for ref in table.metadata.refs.values()}
    return [s.snapshot_id for s in newest_first[keep:] if s.snapshot_id not in tagged]


def expire(table: Table, snapshot_ids: Iterable[int]) -> None:
    """Remove snapshots, in a separate commit."""
    with table.transaction() as transaction:
        ExpireSnapshots(transaction).by_ids(list(snapshot_ids)).commit()


def leads_to(table: Table, snapshot_ids: Collection[int]) -> set[str]:
    """Return the data and metadata files that the table and these snapshots refer to."""
    log = table.metadata.metadata_log
    metadata = {table.metadata_location, *(entry.metadata_file for entry in log)}
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.metadata.snapshots:
        if snapshot.snapshot_id in snapshot_ids:
            metadata.add(snapshot.manifest_list)
            manifests |= {
                manifest.manifest_path: manifest for manifest in snapshot.manifests(table.io)
            }
    data = {
        entry.data_file.file_path
        for manifest in manifests.values()
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    }
    return {*data, *metadata, *manifests}


def retag(table: Table, add: Mapping[str, int], remove: Iterable[str]) -> None:
    """Create tags (name -> snapshot id) and remove others, in one commit."""
    change = table.manage_snapshots()
    for name, snapshot_id in add.items():
        change = change.create_tag(snapshot_id, name)
    for name in remove:
        change = change.remove_tag(name)
    change.commit()


def manifest_entries(table: Table, snapshot_id: int | None) -> list[tuple[DataFile, int]]:
    """Return (file, id of the snapshot that added it) for a snapshot, by default the current."""
    snapshot = (
        table.current_snapshot() if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    )
    if snapshot is None:
        return []
    return [
        (entry.data_file, int(entry.snapshot_id))
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    ]


def batch_of(file: DataFile) -> str:
    """Return the id of the batch whose rows a file holds, from the file's statistics.

    Raises:
        StateError: the statistics do not name exactly one batch.
    """
    low, high = file.lower_bounds.get(BATCH_FIELD), file.upper_bounds.get(BATCH_FIELD)
    if low is None or low != high:
        raise StateError(
            "a file does not hold exactly one batch",
            where=file.file_path,
            fix="delete the file and ingest its slot again",
        )
    return str(low.decode())


def moment_of(bounds: Mapping[int, bytes] | None) -> int | None:
    """Return a bound of known-at in a file's statistics, microseconds UTC; None if absent."""
    bound = (bounds or {}).get(KNOWN_AT_FIELD)
    return None if bound is None else int.from_bytes(bound, "little", signed=True)


def retrying(attempt: Callable[[], T], what: str) -> T:
    """Run `attempt`, which must load the table itself, until no other commit interferes."""
    for turn in range(200):
        try:
            return attempt()
        except CommitFailedException:
            time.sleep(random.uniform(0, 0.02 * min(turn + 1, 10)))  # noqa: S311
    raise StateError(
        f"{what} failed 200 times in a row, because other commits came in between",
        where="the Iceberg catalog",
        fix="run it again when fewer writers are running; nothing was lost",
    )

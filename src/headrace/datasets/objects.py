"""Opening the objects of a release, and refusing those that are not what the manifest says.

Everything here is decided by the size and the footer of a file; `headrace.datasets.verify` reads
its bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.datasets.content_hash import canonical_type
from headrace.datasets.manifest import Manifest, Part
from headrace.datasets.store import Store
from headrace.errors import HeadraceError, StateError

_FIX = "restore it from a copy of the store, or rebuild the release"


def opened_part(store: Store, manifest: Manifest, part: Part) -> pq.ParquetFile:
    """The file of a part, to be closed by the caller.

    Raises:
        StateError: it is missing, a link, of another size, no Parquet, or its footer has other
            rows or other columns than the manifest.
    """
    name = store.object_name(part.object, "parquet")
    where = f"{manifest.ref}, {store.storage.address}/{name}"
    found = store.storage.size(name)
    if found != part.bytes:
        said = "missing" if found is None else f"{found} bytes"
        raise StateError(
            f"object {part.object[:12]} is {said}, not {part.bytes} bytes", where=where, fix=_FIX
        )
    with reading(part, where):
        file = pq.ParquetFile(store.storage.open(name))
        if problem := footer_problem(manifest, part, file):
            file.close()
            raise StateError(
                f"object {part.object[:12]} is not the one of this release: {problem}",
                where=where,
                fix=_FIX,
            )
    return file


@contextmanager
def reading(part: Part, where: str) -> Iterator[None]:
    """Whatever a reader of Parquet says of a broken file, as a StateError."""
    try:
        yield
    except HeadraceError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise StateError(
            f"object {part.object[:12]} cannot be read: {str(error)[:300]}", where=where, fix=_FIX
        ) from error


def footer_problem(manifest: Manifest, part: Part, file: pq.ParquetFile) -> str:
    """What a footer says that the manifest does not; "" if they agree."""
    footer = file.metadata
    if footer.num_rows != part.rows:
        return f"it has {footer.num_rows} rows, not {part.rows}"
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    if sum(group.num_rows for group in groups) != part.rows:
        return "its row groups have other rows than it"
    columns = tuple((column.name, column.type) for column in manifest.columns)
    found = tuple(
        (field.name, canonical_type(field.type, field.name)) for field in file.schema_arrow
    )
    if found != columns:
        return f"it has the columns {', '.join(f'{name} {kind}' for name, kind in found)}"
    return ""

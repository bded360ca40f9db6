"""Reachability of the objects of a store: named by a manifest, a record or another object.

The name of an object is 64 hexadecimal digits, and every document that contains them refers to the
object. So there is no list of fields that may hold a name.
"""

import re
from collections.abc import Collection, Iterable

from headrace.datasets.store.store import Store

_DIGEST = re.compile(rb"[0-9a-f]{64}")


def reachable(store: Store, roots: Iterable[bytes], names: Collection[str]) -> set[str]:
    """Objects among `names` (`<sha256>.json`) that `roots` name, directly or through other objects.

    Raises StateError if the bytes of a reached JSON object do not match its name.
    """
    reached: set[str] = set()
    unread = list(roots)
    while unread:
        digests = {digest.decode() for digest in _DIGEST.findall(unread.pop())}
        for name in {f"{digest}.{suffix}" for digest in digests for suffix in ("parquet", "json")}:
            if name in names and name not in reached:
                reached.add(name)
                if name.endswith(".json"):
                    unread.append(store.get_bytes(name.removesuffix(".json")))
    return reached


def object_names(store: Store) -> set[str]:
    """All objects of a store, as `<sha256>.<suffix>`."""
    return {entry.path.rpartition("/")[2] for entry in store.storage.walk("objects")}

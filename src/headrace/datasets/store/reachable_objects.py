"""Reachability of the objects of a store from manifests, records and other objects.

The name of an object is 64 hexadecimal digits. A document refers to an object if it contains these
digits anywhere, so no list of reference fields is needed.
"""

import re
from collections.abc import Collection, Iterable

from headrace.datasets.store.store import Store

_DIGEST = re.compile(rb"[0-9a-f]{64}")


def reachable(store: Store, roots: Iterable[bytes], names: Collection[str]) -> set[str]:
    """Those of `names` (`<sha256>.<suffix>`) to which `roots` refer, also through other objects.

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

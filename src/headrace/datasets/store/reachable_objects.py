"""Which objects of a store are needed: those that a manifest, a record, another object names.

An object is named by 64 hexadecimal digits, and a document names it by writing them. So nobody has
to keep a list of the fields that may name one: what is needed is what can be reached.
"""

import re
from collections.abc import Collection, Iterable

from headrace.datasets.store.store import Store

_DIGEST = re.compile(rb"[0-9a-f]{64}")


def reachable(store: Store, roots: Iterable[bytes], names: Collection[str]) -> set[str]:
    """Those of the objects `names` (`<sha256>.json`) that `roots` name, and those that they name.

    Raises StateError if a JSON object that is needed holds other bytes than its name says.
    """
    found: set[str] = set()
    unread = list(roots)
    while unread:
        named = {digest.decode() for digest in _DIGEST.findall(unread.pop())}
        for name in {f"{one}.{suffix}" for one in named for suffix in ("parquet", "json")}:
            if name in names and name not in found:
                found.add(name)
                if name.endswith(".json"):
                    unread.append(store.get_bytes(name.removesuffix(".json")))
    return found


def object_names(store: Store) -> set[str]:
    """All objects of a store, as `<sha256>.<suffix>`."""
    return {entry.path.rpartition("/")[2] for entry in store.storage.walk("objects")}

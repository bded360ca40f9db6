"""How a pipeline would declare what was looked at: a line of Python to start from."""

from headrace.scaffold.tried import Tried
from headrace.sources.databases import split_address


def declaration(seen: Tried, name: str, key: tuple[str, ...] = ()) -> str:
    """The source's declaration; what cannot be known from here is in angle brackets."""
    sample = seen.sample
    key = key or (seen.keys[0] if seen.keys else ())
    shown = _tuple(key) if key else "(<columns>,)"
    if sample.kind == "sql":
        return _table(seen, name, shown)
    if sample.kind == "http":
        given = f'"{name}", "<scheme://host>", "<path>", {{"date": "{{slot}}"}}'
        return f'CursorApi({given}, producer="<who>")'
    if sample.kind == "topic":
        return f'Stream("{name}", {sample.about["place"]}, producer="<who>")'
    folder, _, last = sample.address.rpartition("/")
    pattern = str(sample.about.get("pattern") or f"{name}_{{slot}}*.{sample.format}")
    place = folder if sample.about.get("files") == 1 or "*" in last else sample.address
    if sample.format == "parquet":
        glob = last if "*" in last else str(sample.about.get("pattern") or "**/*.parquet")
        return f'ParquetObjects("{name}", "{place}", "{glob}", producer="<who>")'
    return f'DropFolder("{name}", Path("{place or "."}"), "{pattern}", producer="<who>")'


def _table(seen: Tried, name: str, key: str) -> str:
    url, schema, table = split_address(seen.sample.address)
    more = f', schema="{schema}"' if schema else ""
    given = f'"{name}", "{url}", "{table}", {key}, producer="<who>"{more}'
    if not seen.cursors:
        return f"TableSnapshot({given})"
    return f'TableChanges({given}, cursor="{seen.cursors[0]}")'


def _tuple(names: tuple[str, ...]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"({quoted},)" if len(names) == 1 else f"({quoted})"

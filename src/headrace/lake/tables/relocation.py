"""A home may be moved or copied, while Iceberg knows files by absolute paths only.

So a path is read by its end: what was `/there/staged/meter/x.parquet` is `staged/meter/x.parquet`
of the home that reads it. A copy thus never reads, writes or deletes a file of its original.
"""

from pathlib import Path, PurePosixPath

# Folders of a home whose files are known by absolute paths: (name, parts of a path below it).
_STAGED = ("staged", "quarantine")
_WAREHOUSE = "warehouse"


def below(location: str) -> str:
    """The path relative to its home; "" if it lies in none, such as in an object store."""
    if "://" in location:
        return ""
    parts = PurePosixPath(location).parts
    if len(parts) >= 3 and parts[-3] in _STAGED:  # staged/<table>/<file>
        return "/".join(parts[-3:])
    # warehouse/<namespace>/<table>/metadata/<file>
    if len(parts) >= 5 and parts[-5] == _WAREHOUSE and parts[-2] == "metadata":
        return "/".join(parts[-5:])
    return ""


def here(root: Path | str, location: str) -> str:
    """The location as a path of the home at `root`; as it is, if it lies in no home."""
    relative = below(location)
    return f"{root}/{relative}" if relative else location

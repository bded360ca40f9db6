"""Resolution of stored absolute paths, so that a home may be moved or copied.

Only the end of a stored path counts: `/there/staged/meter/x.parquet` is `staged/meter/x.parquet` in
the home that reads it. So a copied home never reads, writes or deletes files of the original home.
"""

from pathlib import Path, PurePosixPath

# Folders of a home whose files are known by absolute paths: (name, parts of a path below it).
_STAGED = ("staged", "quarantine")
_WAREHOUSE = "warehouse"


def below(location: str) -> str:
    """Return the path relative to its home; "" for a path outside a home, as in an object store."""
    if "://" in location:
        return ""
    parts = PurePosixPath(location).parts
    if len(parts) >= 3 and parts[-3] in _STAGED:  # staged/<table>/<file>
        return "/".join(parts[-3:])
    # warehouse/<namespace>/<table>/metadata/<file>
    if len(parts) >= 5 and parts[-5] == _WAREHOUSE and parts[-2] == "metadata":
        return "/".join(parts[-5:])
    return ""


def home_path(root: Path | str, location: str) -> str:
    """Return the location as a path of the home at `root`; unchanged for a path outside a home."""
    relative = below(location)
    return f"{root}/{relative}" if relative else location

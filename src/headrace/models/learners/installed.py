"""Installed distributions: the lock of a bundle, and the folders that hold them."""

import logging
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError, StateError

_logger = logging.getLogger(__name__)


def lock() -> dict[str, Any]:
    """Return the Python version, and {distribution: version} of all that is installed."""
    versions = {
        _plain(distribution.name): distribution.version
        for distribution in reversed(list(metadata.distributions()))
        if distribution.name
    }
    return {"python": platform.python_version(), "distributions": dict(sorted(versions.items()))}


def versions_of(names: Iterable[str], where: str) -> dict[str, str]:
    """Return {distribution: version}. Raises DeclarationError if one is not installed."""
    versions = {}
    for name in names:
        try:
            versions[_plain(name)] = metadata.version(name)
        except metadata.PackageNotFoundError as error:
            extra = "headrace[sklearn]" if name in {"skops", "scikit-learn"} else name
            raise DeclarationError(
                f"{name} is not installed", where=where, fix=f"pip install '{extra}'"
            ) from error
    return versions


def require_same(pinned: Mapping[str, str], stored: Mapping[str, Any], where: str) -> None:
    """Refuse a pinned distribution of another version than in training; warn of other changes.

    Raises:
        StateError: a pinned distribution is missing, or has another version.
    """
    now = lock()
    installed: Mapping[str, str] = now["distributions"]
    changed = [
        f"{name} {version} (installed: {installed.get(name, 'none')})"
        for name, version in sorted(pinned.items())
        if installed.get(name) != version
    ]
    if changed:
        versions = " ".join(f"'{name}=={version}'" for name, version in sorted(pinned.items()))
        raise StateError(
            f"the model was trained with {', '.join(changed)}",
            where=where,
            fix=f"pip install {versions}, or train again",
        )
    before: Mapping[str, str] = stored["distributions"]
    differences = [
        f"{name} {before.get(name, 'none')} -> {installed.get(name, 'none')}"
        for name in sorted({*before, *installed})
        if before.get(name) != installed.get(name)
    ]
    if stored["python"] != now["python"]:
        differences.insert(0, f"python {stored['python']} -> {now['python']}")
    if differences:
        rest = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        _logger.warning(
            "%s: installed packages changed since training: %s%s",
            where,
            ", ".join(differences[:5]),
            rest,
        )


def package_folders() -> list[str]:
    """Return the entries of `sys.path` that hold the standard library or installed packages.

    The project's own folder is not among them, nor is a package that is installed in editable mode.
    """
    prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    folders = []
    for entry in sys.path:
        path = Path(entry).absolute()
        in_prefix = bool(prefixes & set(path.resolve().parents)) and _is_library(path)
        if entry and (in_prefix or any(path.glob("*.dist-info"))):
            folders.append(str(path))
    return folders


def _is_library(path: Path) -> bool:
    names = set(path.parts)
    return bool({"site-packages", "dist-packages"} & names) or any(
        name.startswith("python3") for name in names
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")

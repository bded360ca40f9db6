"""Copies of the team's source in a bundle: text files, each with its sha256."""

import importlib
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.files import sha256

# Larger files are data, not source.
LARGEST = 1 << 20
LARGEST_TREE = 16 << 20


@dataclass(frozen=True)
class SourceFile:
    """File of a bundle: its path below the folder, with slashes, sha256 and size in bytes."""

    name: str
    sha256: str
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SourceTree:
    """Text files to copy, by their path below the import root, and the import roots."""

    files: dict[str, bytes]
    roots: tuple[Path, ...]

    def listing(self) -> list[SourceFile]:
        return [
            SourceFile(name, sha256(data), len(data)) for name, data in sorted(self.files.items())
        ]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def source_tree(entry: str, source: Sequence[str] = ()) -> SourceTree:
    """Read the source of "module:function": `source`, or the package that holds the module.

    A file that is not UTF-8 text is not copied. Modules are found, but not imported. An installed
    package has no files here, because the lock of the bundle holds its version.

    Raises:
        DeclarationError: a module is missing, or a file is too large for source.
    """
    importlib.invalidate_caches()  # a module may be newer than this process
    module = entry.partition(":")[0]
    where = f"{entry!r}"
    names = tuple(source) or (_package_of(module, where),)
    files: dict[str, bytes] = {}
    roots = []
    for name in names:
        for path, root in _files_of(name, where):
            if (data := _text(path, where)) is not None:
                files[path.relative_to(root).as_posix()] = data
            roots.append(root)
    if source and not _contains(files, module):
        raise DeclarationError(
            f"source={tuple(source)} does not contain the module {module}",
            where=where,
            fix=f"add {module!r}",
        )
    if (size := sum(map(len, files.values()))) > LARGEST_TREE:
        raise DeclarationError(
            f"the source has {size:,} bytes, more than {LARGEST_TREE:,}",
            where=where,
            fix='name the modules to copy: source=("package.module",)',
        )
    return SourceTree(files, tuple(dict.fromkeys(roots)))


def _contains(files: dict[str, bytes], module: str) -> bool:
    path = module.replace(".", "/")
    return f"{path}.py" in files or f"{path}/__init__.py" in files


def _package_of(module: str, where: str) -> str:
    spec = _spec(module, where)
    package, _, _ = module.rpartition(".")
    return module if spec.submodule_search_locations is not None or not package else package


def _files_of(name: str, where: str) -> Iterator[tuple[Path, Path]]:
    """Yield (file, import root) of a module or package that is not installed."""
    spec = _spec(name, where)
    depth = name.count(".") + 1
    if spec.submodule_search_locations is None:
        if spec.origin is None or _is_installed(path := Path(spec.origin).absolute()):
            return
        yield path, path.parents[depth - 1]
        return
    for location in spec.submodule_search_locations:
        folder = Path(location).absolute()
        if _is_installed(folder):
            continue
        for path in sorted(folder.rglob("*")):
            hidden = any(
                part.startswith(".") or part == "__pycache__"
                for part in path.relative_to(folder).parts
            )
            if path.is_file() and not path.is_symlink() and not hidden:
                yield path, folder.parents[depth - 1]


def _is_installed(path: Path) -> bool:
    library = Path(sysconfig.get_path("stdlib"))
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or library in path.parents


def _text(path: Path, where: str) -> bytes | None:
    size = path.stat().st_size
    if size > LARGEST:
        if path.suffix != ".py" and _is_binary(path):
            return None
        raise DeclarationError(
            f"{path.name} has {size:,} bytes; a file of source has at most {LARGEST:,}",
            where=f"{where}, {path}",
            fix="move data out of the package, or name the modules to copy: source=(...)",
        )
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    return None if b"\0" in data else data


def _is_binary(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" in file.read(1 << 16)


def _spec(name: str, where: str) -> ModuleSpec:
    """Find a module without importing the packages above it."""
    spec: ModuleSpec | None = None
    path = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        full = ".".join(parts[:depth])
        finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
        specs = (find(full, path) for find in finders if find is not None)
        spec = next(filter(None, specs), None)
        if spec is None or (depth < len(parts) and spec.submodule_search_locations is None):
            raise DeclarationError(
                f"there is no module {full!r}" + (f" (of {name!r})" if full != name else ""),
                where=where,
                fix="name an importable module, and start from the project's folder",
            )
        path = spec.submodule_search_locations
    if spec is None:
        raise AssertionError(name)
    return spec

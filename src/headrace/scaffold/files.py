"""Writing of drafted files: all or none, and never overwriting an existing file."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import yaml

from headrace.core.errors import DeclarationError
from headrace.core.files import write_atomically

_PIPELINES = re.compile(r"^(pipelines\s*=\s*\[)([^\]]*)(\])", re.MULTILINE)
MARK = "# headrace new source: more tables go above this line"


def write_new(root: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    """Write `files`, {path relative to `root`: content}, in order; return the paths.

    Raises:
        DeclarationError: if one of the files already exists; then nothing is written.
    """
    existing = [name for name in files if (root / name).exists()]
    if existing:
        rest = f" and {len(existing) - 5} more" if len(existing) > 5 else ""
        raise DeclarationError(
            f"not overwritten: {', '.join(existing[:5])}{rest}",
            where=str(root),
            fix="choose another name, or move them away first",
        )
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        with path.open("xb") as handle:
            handle.write(data)
    return [root / name for name in files]


def add_pipeline_module(root: Path, module: str) -> bool:
    """Add `module` to `[tool.headrace] pipelines` in pyproject.toml; return False if impossible."""
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8")

    def with_module(match: re.Match[str]) -> str:
        before = match[2].strip().rstrip(",")
        return f"{match[1]}{before}{', ' if before else ''}{_quoted(module)}{match[3]}"

    changed = _PIPELINES.sub(with_module, text, count=1)
    declared = tomllib.loads(changed).get("tool", {}).get("headrace", {}).get("pipelines", [])
    if module not in declared:
        return False
    write_atomically(path, changed.encode())
    return True


def add_location(root: Path, block: str, name: str) -> bool:
    """Append a code location to workspace.yaml; return False if that is impossible."""
    path = root / "workspace.yaml"
    if not path.exists():
        return False
    changed = path.read_text(encoding="utf-8").rstrip("\n") + "\n" + block
    locations = yaml.safe_load(changed).get("load_from")
    last = locations[-1] if isinstance(locations, list) and locations else {}
    if last.get("python_module", {}).get("location_name") != name:
        return False
    write_atomically(path, changed.encode())
    return True


def add_table(path: Path, entry: str) -> bool:
    """Insert a table's entry above the `MARK` comment; return False unless there is exactly one."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.strip() == MARK]
    if len(places) != 1:
        return False
    indent = lines[places[0]][: -len(lines[places[0]].lstrip())]
    lines.insert(places[0], f"{indent}{entry}\n")
    write_atomically(path, "".join(lines).encode())
    return True


def _quoted(text: str) -> str:
    return f'"{text}"'

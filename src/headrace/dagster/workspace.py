"""Check workspace.yaml before Dagster reads it, since Dagster reports errors as tracebacks."""

import re
from pathlib import Path

import yaml

from headrace.core.declarations.yaml_lines import located, syntax_place
from headrace.core.errors import DeclarationError

FILE = "workspace.yaml"
_FIX = "write a code location as headrace new project does: python_module: pipelines.NAME"
_PLACE = re.compile(r' at (?:the root|path root:([^" ]+))')
_UNKNOWN = re.compile(r'unexpected config entr(?:y|ies) "?(\w+)')


def check_workspace(project: Path) -> None:
    """Raise an error if Dagster cannot read the project's workspace.yaml.

    Raises:
        DeclarationError: there is no such file, it is not YAML, or it has an unknown key or lacks a
            required one.
    """
    file = project / FILE
    if not file.exists():
        raise DeclarationError(
            f"there is no {FILE}, which lists the pipelines for Dagster",
            where=str(project),
            fix="copy the one that headrace new project writes: a python_module per pipeline",
        )
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        what, where = syntax_place(file, error)
        raise DeclarationError(
            f"not valid YAML: {what}",
            where=where,
            fix="check the indentation and the quotes on this line and the one before",
        ) from error
    if not isinstance(document, dict):
        raise DeclarationError("expected the key load_from", where=str(file), fix=_FIX)
    _check_keys(file, document)


def _check_keys(file: Path, document: dict[str, object]) -> None:
    from dagster._core.workspace.config_schema import process_workspace_config

    errors = process_workspace_config(document).errors
    if not errors:
        return
    sentence = errors[0].message.partition(" Expected: ")[0].partition(" You must ")[0].rstrip(".")
    path = _PLACE.search(sentence)
    place = (path.group(1) or "top level").rstrip(".").replace(":", ".") if path else "top level"
    unknown = _UNKNOWN.search(sentence)
    what = f"unknown key {unknown.group(1)!r}" if unknown else _PLACE.sub("", sentence)
    raise DeclarationError(
        what,
        where=f"{file}: {located(file, place, unknown.group(1) if unknown else '')}",
        fix=_FIX,
    )

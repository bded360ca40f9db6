"""Requirement line by which a new project installs the same Headrace that created it."""

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution

_UNKNOWN = """\
# TODO: where does Headrace come from? It was installed from a folder or file of one machine. Write
# one of these, without the #:
#   headrace[all] @ git+https://HOST/PATH/headrace@COMMIT
#   headrace[all] @ https://HOST/PATH/headrace-{version}-py3-none-any.whl
#   ./wheels/headrace-{version}-py3-none-any.whl[all]"""


def own_requirement() -> str:
    """Return the requirement line of this installation; a TODO if it came from a local path."""
    try:
        installed: Distribution = distribution("headrace")
    except PackageNotFoundError:
        return _UNKNOWN.format(version="0")
    return requirement(installed.read_text("direct_url.json"), installed.version)


def requirement(direct_url: str | None, version: str) -> str:
    """Return the requirement line for a PEP 610 record; without one, for the package index."""
    if direct_url is None:
        return f"headrace[all]=={version}"
    record = json.loads(direct_url)
    url = str(record.get("url", ""))
    if not url.startswith(("https://", "http://", "ssh://")):
        return _UNKNOWN.format(version=version)
    vcs = record.get("vcs_info")
    if vcs:
        return f"headrace[all] @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"headrace[all] @ {url}"

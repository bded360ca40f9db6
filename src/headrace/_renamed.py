"""Modules that projects of version 0.1 import under an earlier name; gone in version 0.3."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

# Names within `headrace`: earlier, now.
RENAMED = {
    "clock": "core.clock",
    "datasets.privacy": "datasets.governance.privacy",
    "errors": "core.errors",
    "features.leaks": "verification.leaks",
    "features.parity": "verification.parity",
    "files": "core.files",
    "home": "core.home",
    "monitoring.policy": "monitoring.decisions.policy",
    "online": "serving.online",
    "sql": "core.sql",
    "zones": "core.time_zones",
}


class _Alias(Loader):
    """Loader that answers an earlier name with the module of today."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        warnings.warn(
            f"{spec.name} is now {self.name}; the earlier name will be removed in version 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return import_module(self.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has been executed under its own name."""


class _Finder(MetaPathFinder):
    """Finder of earlier names. It comes last, so that a module that exists is never replaced."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the signature of importlib
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        today = RENAMED.get(fullname.removeprefix("headrace."))
        if today is None or not fullname.startswith("headrace."):
            return None
        return spec_from_loader(fullname, _Alias(f"headrace.{today}"))


def install() -> None:
    """Let `import` find the modules of `RENAMED`; call it once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())

"""Modules that projects of version 0.1 import under an earlier name; gone in version 0.3."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

RENAMED = {
    "headrace.clock": "headrace.core.clock",
    "headrace.errors": "headrace.core.errors",
    "headrace.files": "headrace.core.files",
    "headrace.home": "headrace.core.home",
    "headrace.sql": "headrace.core.sql",
    "headrace.zones": "headrace.core.time_zones",
    "headrace.features.leaks": "headrace.verification.leaks",
    "headrace.features.parity": "headrace.verification.parity",
    "headrace.online": "headrace.serving.online",
    "headrace.simulation": "headrace.verification.simulation",
    "headrace.datasets.privacy": "headrace.datasets.governance.privacy",
    "headrace.monitoring.policy": "headrace.monitoring.decisions.policy",
}


class _Alias(Loader):
    """Loader that answers an earlier name with the module of today."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        warnings.warn(
            f"{spec.name} is {self.name} from now on; the earlier name goes in version 0.3",
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
        today = RENAMED.get(fullname)
        return spec_from_loader(fullname, _Alias(today)) if today else None


def install() -> None:
    """Let `import` find the modules of `RENAMED`; call it once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())

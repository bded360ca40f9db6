"""Errors with what was wrong, where, and how to fix it."""


class HeadraceError(Exception):
    """Error with what happened, where it happened, and the command or edit that fixes it."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.fix:
            parts.append(f"  fix:   {self.fix}")
        return "\n".join(parts)


class DeclarationError(HeadraceError):
    """Error in a contract, suite, view, dataset or pipeline declaration, raised on load."""


class SourceError(HeadraceError):
    """Error of a source that could not be read. Nothing was recorded; running again is safe."""


class StateError(HeadraceError):
    """Error of stored state that is missing, damaged, or written by a newer Headrace."""


class TaintedError(HeadraceError):
    """Error of opening a release or model with data of a recalled batch; can be overridden."""


class ExpiredError(HeadraceError):
    """Error of opening a release past its retention; can be overridden until it is retired."""


class RefusedError(HeadraceError):
    """Error of an action that the principal may not take, or the batch's state does not allow.

    Nothing was changed; the attempt is recorded.
    """

"""Errors that say what is wrong, where, and how to fix it."""


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
    """Raised if a source cannot be read. Nothing was recorded; running again is safe."""


class StateError(HeadraceError):
    """Raised if stored state is missing, damaged, or written by a newer Headrace."""


class LearnerError(HeadraceError):
    """Raised if a team's training or prediction code fails, hangs or returns a wrong answer."""


class TaintedError(HeadraceError):
    """Raised on opening a release or model with data of a recalled batch; can be overridden."""


class ExpiredError(HeadraceError):
    """Raised on opening a release past its retention; can be overridden until it is retired."""


class RefusedError(HeadraceError):
    """Raised if the principal may not take an action, or the batch's state does not allow it.

    Nothing was changed; the attempt is recorded.
    """

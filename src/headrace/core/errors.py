"""Errors that say what was wrong, where, and how to mend it."""


class HeadraceError(Exception):
    """What happened, where it happened, and the command or edit that mends it."""

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
    """A contract, suite, view, dataset or pipeline is declared wrongly; found on load."""


class SourceError(HeadraceError):
    """A source could not be read. Nothing was recorded; running again is safe."""


class StateError(HeadraceError):
    """Stored state is missing, damaged, or written by a newer Headrace."""


class TaintedError(HeadraceError):
    """A release or a model holds a batch that was recalled; it opens with an explicit override."""


class ExpiredError(HeadraceError):
    """A release may be kept no longer; it opens with an explicit override, until it is retired."""


class RefusedError(HeadraceError):
    """An action that this principal may not do, or that the batch's state does not admit.

    Nothing was changed; that it was tried is on the record.
    """

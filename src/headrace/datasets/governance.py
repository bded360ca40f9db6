"""Whether a release may exist: what the sources' licences and purposes allow."""

import re
from collections.abc import Mapping

from headrace.datasets.manifest import InputTable
from headrace.errors import DeclarationError

# Licences under which no derived work may be passed on, which is what a released dataset is.
_NO_DERIVATIVES = re.compile(r"(?i)cc-by(-nc)?-nd\b.*|all[- ]rights[- ]reserved|no[- ]?derivatives")


def check_allowed(name: str, purpose: str, inputs: Mapping[str, InputTable]) -> None:
    """Raises DeclarationError naming every source that forbids a release for `purpose`."""
    refusals = [
        f"{table}: {why}"
        for table, given in sorted(inputs.items())
        if (why := _refusal(purpose, given))
    ]
    if refusals:
        raise DeclarationError(
            f"{name} may not be released for {purpose}: {'; '.join(refusals)}",
            where=f"contract of {', '.join(line.split(':')[0] for line in refusals)}",
            fix="leave the source out, or agree other terms with its owner",
        )


def licences(inputs: Mapping[str, InputTable]) -> tuple[str, ...]:
    return tuple(sorted({given.licence for given in inputs.values()}))


def _refusal(purpose: str, given: InputTable) -> str:
    if not given.licence:
        return "it states no licence"
    if _NO_DERIVATIVES.fullmatch(given.licence):
        return f"its licence {given.licence} forbids derived works"
    if purpose not in given.purposes:
        return f"it allows {', '.join(given.purposes) or 'no purpose'} only"
    return ""

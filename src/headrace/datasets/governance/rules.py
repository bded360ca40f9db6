"""Licence and purpose rules: check that its sources allow a release.

Each source states in its contract its licence (an SPDX expression, see `licences`) and the purposes
it may be used for. A release is allowed if every source allows its purpose and the licences do
not conflict; the resulting obligations are recorded in the manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.datasets.governance.licences import Choice, Licence, choices
from headrace.datasets.manifest import InputTable

# Maximum number of combinations of licence alternatives to try.
_MAX_COMBINATIONS = 4096


@dataclass(frozen=True)
class Terms:
    """Terms of a release that follow from the licences of its sources.

    Attributes:
        obligations: sentences for people who use the release or pass it on, sorted.
        credits: one line for each source that must be credited.
        under: licences under which the release may be passed on; None if any is allowed.
        pass_on: False if a source does not allow the release to leave the organisation.
        licence_by_table: {table: licence} of tables whose expression is not a single licence.
    """

    obligations: tuple[str, ...] = ()
    credits: tuple[str, ...] = ()
    under: tuple[str, ...] | None = None
    pass_on: bool = True
    licence_by_table: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "obligations": list(self.obligations),
            "credits": list(self.credits),
            "under": None if self.under is None else list(self.under),
            "pass_on": self.pass_on,
            "chosen": dict(self.licence_by_table or {}),
        }


def check_allowed(
    name: str, purpose: str, inputs: Mapping[str, InputTable], *, commercial: bool | None = None
) -> Terms:
    """Check that all sources allow a release of `name` for `purpose`; return its terms.

    Args:
        name: name of the dataset.
        purpose: purpose that each source must list among its allowed purposes.
        inputs: the input tables of the release.
        commercial: True if the purpose is commercial; None if not stated, which a non-commercial
            source does not accept.

    Raises:
        DeclarationError: a source forbids the release; the message names all such sources, with
            reason and owner.
    """
    ways: dict[str, tuple[Choice, ...]] = {}
    refused: dict[str, str] = {}
    for table, source in sorted(inputs.items()):
        if why := _forbidden(purpose, source):
            refused[table] = why
            continue
        try:
            alternatives = choices(source.licence)
        except DeclarationError as error:
            refused[table] = f"{error.what}; {error.fix}"
            continue
        ways[table], why = _open(alternatives, commercial)
        if not ways[table]:
            refused[table] = why
    if refused:
        raise _refusal(name, purpose, inputs, refused)
    return _together(name, purpose, inputs, ways)


def licences(inputs: Mapping[str, InputTable]) -> tuple[str, ...]:
    """The licence expressions of all sources, sorted."""
    return tuple(sorted({source.licence for source in inputs.values()}))


def check_passing_on(ref: str, terms: Mapping[str, Any]) -> None:
    """Raise DeclarationError if a release may not be passed on; `terms` as in its manifest.

    A release without terms was made before they were recorded and is not refused here.
    """
    if terms and not terms["pass_on"]:
        raise DeclarationError(
            f"{ref} may not be passed on: {'; '.join(terms['obligations'])}",
            where=f"the licences of {ref}",
            fix="have the owner of each source state terms that allow it, then release again",
        )


def _forbidden(purpose: str, source: InputTable) -> str:
    if not source.licence.strip():
        return "it states no licence"
    if purpose not in source.purposes:
        return f"it allows {', '.join(source.purposes) or 'no purpose'} only"
    return ""


def _open(
    alternatives: Sequence[Choice], commercial: bool | None
) -> tuple[tuple[Choice, ...], str]:
    """Usable alternatives, and the reason that rules out the last unusable one."""
    usable, why = [], ""
    for alternative in alternatives:
        wrong = next(
            (reason for licence in alternative if (reason := _against(licence, commercial))), ""
        )
        if wrong:
            why = wrong
        else:
            usable.append(alternative)
    return tuple(usable), why


def _against(licence: Licence, commercial: bool | None) -> str:
    if not licence.derivatives:
        return f"its licence {licence.id} forbids derived works"
    if not licence.commercial and commercial is not False:
        purpose = "is commercial" if commercial else "does not say whether it is commercial"
        hint = "" if commercial else " (DatasetSpec(commercial=False), if it is not)"
        return (
            f"its licence {licence.id} is for non-commercial use, and the dataset {purpose}{hint}"
        )
    return ""


def _together(
    name: str,
    purpose: str,
    inputs: Mapping[str, InputTable],
    ways: Mapping[str, tuple[Choice, ...]],
) -> Terms:
    """Terms of the combination of licences with the fewest obligations; the first if tied."""
    best: tuple[tuple[int, int, int], dict[str, Choice], frozenset[str] | None] | None = None
    for combination in islice(product(*ways.values()), _MAX_COMBINATIONS):
        selection = dict(zip(ways, combination, strict=True))
        under = _under([licence for alternative in combination for licence in alternative])
        if under == frozenset():
            continue
        flat = [licence for alternative in combination for licence in alternative]
        closed = sum(not licence.passed_on for licence in flat)
        weight = (closed, int(under is not None), sum(licence.credit for licence in flat))
        if best is None or weight < best[0]:
            best = (weight, selection, under)
    if best is None:
        raise _refusal(name, purpose, inputs, _clash(ways))
    return _terms(inputs, best[1], best[2])


def _under(licences: Sequence[Licence]) -> frozenset[str] | None:
    """Licences that all `licences` allow for derived works; None if any, empty if no licence."""
    permitted: frozenset[str] | None = None
    for licence in licences:
        if licence.under is not None:
            permitted = licence.under if permitted is None else permitted & licence.under
    return permitted


def _clash(ways: Mapping[str, tuple[Choice, ...]]) -> dict[str, str]:
    return {
        table: f"its licence {licence.id} requires derived works to be under "
        f"{' or '.join(sorted(licence.under))}, which another source does not allow"
        for table, alternatives in ways.items()
        for alternative in alternatives[:1]
        for licence in alternative
        if licence.under is not None
    }


def _terms(
    inputs: Mapping[str, InputTable],
    selection: Mapping[str, Choice],
    under: frozenset[str] | None,
) -> Terms:
    obligations, credit_lines = set(), []
    for table, choice in selection.items():
        owner = inputs[table].owner or "its owner"
        for licence in choice:
            if licence.credit:
                credit_lines.append(f"{table}, by {owner}, under {licence.id}")
            if not licence.passed_on:
                obligations.add(
                    f"not to be passed on: of {table}, {licence.because} ({licence.id})"
                )
            if not licence.commercial:
                obligations.add(f"no commercial use: {table} is under {licence.id}")
    if credit_lines:
        obligations.add("whoever passes it on names its sources, as credited")
    if under is not None:
        obligations.add(f"passed on under {' or '.join(sorted(under))} only: share-alike")
    return Terms(
        tuple(sorted(obligations)),
        tuple(credit_lines),
        None if under is None else tuple(sorted(under)),
        all(licence.passed_on for choice in selection.values() for licence in choice),
        {
            table: " AND ".join(licence.id for licence in choice)
            for table, choice in selection.items()
            if inputs[table].licence != choice[0].id
        },
    )


def _refusal(
    name: str, purpose: str, inputs: Mapping[str, InputTable], refused: Mapping[str, str]
) -> DeclarationError:
    owners = sorted({inputs[table].owner or f"the owner of {table}" for table in refused})
    return DeclarationError(
        f"{name} may not be released for {purpose}: "
        + "; ".join(f"{table}: {why}" for table, why in refused.items()),
        where=f"contract of {', '.join(refused)}",
        fix=f"leave the source out, or agree other terms with {', '.join(owners)} and write them "
        "into the contract (licence, allowedPurposes)",
    )

"""Whether a release may exist: what the sources' licences and allowed purposes say of it.

Each source says in its contract under which licence it is (an SPDX expression, see `licences`) and
what for it may be used. A release may exist if every source allows its purpose and there is a way
to keep to all licences at once; what that way obliges to goes into the manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.datasets.governance.licences import Choice, Licence, choices
from headrace.datasets.manifest import InputTable

# Ways to combine the alternatives of all sources that are tried.
_MOST = 4096


@dataclass(frozen=True)
class Terms:
    """What keeps a release within the licences of its sources.

    Attributes:
        obligations: sentences for whoever holds or passes on the release, sorted.
        credits: one line for each source that wants to be named.
        under: the licences it may be passed on under; None if that choice is free.
        pass_on: False if some source does not say that it may leave the house.
        chosen: {table: licence}, where an expression left a choice or named several.
    """

    obligations: tuple[str, ...] = ()
    credits: tuple[str, ...] = ()
    under: tuple[str, ...] | None = None
    pass_on: bool = True
    chosen: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "obligations": list(self.obligations),
            "credits": list(self.credits),
            "under": None if self.under is None else list(self.under),
            "pass_on": self.pass_on,
            "chosen": dict(self.chosen or {}),
        }


def check_allowed(
    name: str, purpose: str, inputs: Mapping[str, InputTable], *, commercial: bool | None = None
) -> Terms:
    """The terms of a release of `name` for `purpose`.

    Args:
        name: the dataset's.
        purpose: each source must name it among its allowed purposes.
        inputs: what it would be made of.
        commercial: whether the purpose is commercial; None if nobody said, which a
            non-commercial source does not take for no.

    Raises:
        DeclarationError: naming every source that forbids it, why, and its owner.
    """
    ways: dict[str, tuple[Choice, ...]] = {}
    refused: dict[str, str] = {}
    for table, given in sorted(inputs.items()):
        if why := _forbidden(purpose, given):
            refused[table] = why
            continue
        try:
            found = choices(given.licence)
        except DeclarationError as error:
            refused[table] = f"{error.what}; {error.fix}"
            continue
        ways[table], why = _open(found, commercial)
        if not ways[table]:
            refused[table] = why
    if refused:
        raise _refusal(name, purpose, inputs, refused)
    return _together(name, purpose, inputs, ways)


def licences(inputs: Mapping[str, InputTable]) -> tuple[str, ...]:
    """The licence expressions of all sources, sorted."""
    return tuple(sorted({given.licence for given in inputs.values()}))


def check_passing_on(ref: str, terms: Mapping[str, Any]) -> None:
    """Raises DeclarationError if a release may not leave the house; `terms` as in its manifest.

    A release without terms was made before they were recorded: what its licences say then holds.
    """
    if terms and not terms["pass_on"]:
        raise DeclarationError(
            f"{ref} may not be passed on: {'; '.join(terms['obligations'])}",
            where=f"the licences of {ref}",
            fix="have the owner of each source state terms that allow it, then release anew",
        )


def _forbidden(purpose: str, given: InputTable) -> str:
    if not given.licence.strip():
        return "it states no licence"
    if purpose not in given.purposes:
        return f"it allows {', '.join(given.purposes) or 'no purpose'} only"
    return ""


def _open(found: Sequence[Choice], commercial: bool | None) -> tuple[tuple[Choice, ...], str]:
    """The alternatives that may be used at all, and why the last of the others may not."""
    kept, why = [], ""
    for one in found:
        wrong = next((said for each in one if (said := _against(each, commercial))), "")
        if wrong:
            why = wrong
        else:
            kept.append(one)
    return tuple(kept), why


def _against(licence: Licence, commercial: bool | None) -> str:
    if not licence.derivatives:
        return f"its licence {licence.id} forbids derived works"
    if not licence.commercial and commercial is not False:
        says = "is commercial" if commercial else "does not say whether it is commercial"
        more = "" if commercial else " (DatasetSpec(commercial=False), if it is not)"
        return f"its licence {licence.id} is for non-commercial use, and the dataset {says}{more}"
    return ""


def _together(
    name: str,
    purpose: str,
    inputs: Mapping[str, InputTable],
    ways: Mapping[str, tuple[Choice, ...]],
) -> Terms:
    """The combination that obliges to least; the first of equals, as the contracts write them."""
    best: tuple[tuple[int, int, int], dict[str, Choice], frozenset[str] | None] | None = None
    for combination in islice(product(*ways.values()), _MOST):
        chosen = dict(zip(ways, combination, strict=True))
        under = _under([each for one in combination for each in one])
        if under == frozenset():
            continue
        flat = [each for one in combination for each in one]
        closed = sum(not each.passed_on for each in flat)
        weight = (closed, int(under is not None), sum(each.credit for each in flat))
        if best is None or weight < best[0]:
            best = (weight, chosen, under)
    if best is None:
        raise _refusal(name, purpose, inputs, _clash(ways))
    return _terms(inputs, best[1], best[2])


def _under(licences: Sequence[Licence]) -> frozenset[str] | None:
    """What the whole may be passed on under: None is anything, empty is nothing."""
    found: frozenset[str] | None = None
    for licence in licences:
        if licence.under is not None:
            found = licence.under if found is None else found & licence.under
    return found


def _clash(ways: Mapping[str, tuple[Choice, ...]]) -> dict[str, str]:
    return {
        table: f"its licence {each.id} wants what is derived from it under "
        f"{' or '.join(sorted(each.under))}, which another source does not allow"
        for table, alternatives in ways.items()
        for alternative in alternatives[:1]
        for each in alternative
        if each.under is not None
    }


def _terms(
    inputs: Mapping[str, InputTable],
    chosen: Mapping[str, Choice],
    under: frozenset[str] | None,
) -> Terms:
    obligations, named = set(), []
    for table, one in chosen.items():
        owner = inputs[table].owner or "its owner"
        for each in one:
            if each.credit:
                named.append(f"{table}, by {owner}, under {each.id}")
            if not each.passed_on:
                obligations.add(f"not to be passed on: of {table}, {each.because} ({each.id})")
            if not each.commercial:
                obligations.add(f"no commercial use: {table} is under {each.id}")
    if named:
        obligations.add("whoever passes it on names its sources, as credited")
    if under is not None:
        obligations.add(f"passed on under {' or '.join(sorted(under))} only: share-alike")
    return Terms(
        tuple(sorted(obligations)),
        tuple(named),
        None if under is None else tuple(sorted(under)),
        all(each.passed_on for one in chosen.values() for each in one),
        {
            table: " AND ".join(each.id for each in one)
            for table, one in chosen.items()
            if inputs[table].licence != one[0].id
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

"""What licences allow: the golden table of decisions, and SPDX expressions."""

from dataclasses import replace

import pytest

from headrace.core.errors import DeclarationError
from headrace.datasets.governance.licences import choices, table
from headrace.datasets.governance.rules import check_allowed, check_passing_on
from tests.datasets.frames import INPUTS

FREE = "free"
BY = "credit"


# licences of the sources | commercial | what comes of it: what it may be passed on under, and
# whether anybody is named; or what the refusal says.
GOLDEN = [
    (("CC0-1.0",), None, (FREE, "")),
    (("cc0-1.0", "MIT"), None, (FREE, BY)),
    (("CC-BY-4.0", "CC0-1.0"), True, (FREE, BY)),
    (("CC-BY-SA-4.0", "CC-BY-4.0"), True, ("CC-BY-SA-4.0, GPL-3.0-only", BY)),
    (("CC-BY-SA-3.0", "CC-BY-SA-4.0"), True, ("CC-BY-SA-4.0", BY)),
    (("CC-BY-SA-4.0", "GPL-3.0-or-later"), True, ("GPL-3.0-only", BY)),
    (("ODbL-1.0", "CC-BY-SA-4.0"), True, "ODbL-1.0 requires .* under ODbL-1.0, which another"),
    (("ODbL-1.0", "ODbL-1.0"), True, ("ODbL-1.0", BY)),
    (("GPL-2.0-only", "GPL-3.0-only"), True, "GPL-2.0-only requires"),
    (("GPL-2.0", "GPL-2.0+"), True, ("GPL-2.0-only", BY)),
    (("CC-BY-NC-4.0",), False, (FREE, BY)),
    (("CC-BY-NC-4.0",), True, "CC-BY-NC-4.0 is for non-commercial use, and the dataset is commer"),
    (("CC-BY-NC-4.0",), None, "does not say whether it is commercial"),
    (("CC-BY-NC-SA-4.0", "CC-BY-SA-4.0"), False, "CC-BY-NC-SA-4.0 requires"),
    (("CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"), False, ("CC-BY-NC-SA-4.0", BY)),
    (("CC-BY-ND-4.0",), False, "CC-BY-ND-4.0 forbids derived works"),
    (("CC-BY-NC-ND-4.0",), False, "CC-BY-NC-ND-4.0 forbids derived works"),
    (("CC-BY-ND-4.0 OR CC-BY-4.0",), True, (FREE, BY)),
    (("CC-BY-ND-4.0 AND CC-BY-4.0",), True, "forbids derived works"),
    (("CC-BY-4.0 OR CC0-1.0",), True, (FREE, "")),
    (("ODbL-1.0 OR CC-BY-SA-4.0", "CC-BY-SA-3.0"), True, ("CC-BY-SA-4.0", BY)),
    (("(ODbL-1.0 OR CC0-1.0) AND CC-BY-NC-4.0",), False, (FREE, BY)),
    (("LicenseRef-Acme-2024", "CC-BY-4.0"), True, ("closed", BY)),
    (("not_stated",), None, ("closed", "")),
    (("TODO: an SPDX id, or whose leave it takes",), None, ("closed", "")),
    (("",), None, "states no licence"),
    (("   ",), None, "states no licence"),
    (("proprietary",), None, "'proprietary' is not reviewed"),
    (("CC-BY-5.0",), None, "'CC-BY-5.0' is not reviewed"),
    (("all rights reserved",), None, "reviewed|not an SPDX expression"),
    (("CC-BY-4.0 and CC0-1.0",), None, "not an SPDX expression"),
    (("GPL-2.0-only WITH Classpath-exception-2.0",), None, "not an SPDX expression"),
    (("(MIT", "MIT"), None, "not an SPDX expression"),
    (("MIT OR",), None, "not an SPDX expression"),
]


@pytest.mark.parametrize("given, commercial, expected", GOLDEN)
def test_the_golden_table(given, commercial, expected):
    inputs = {
        f"t{n}": replace(INPUTS["weather"], licence=licence, owner=f"owner {n}")
        for n, licence in enumerate(given)
    }
    if isinstance(expected, str):
        with pytest.raises(DeclarationError, match=expected) as caught:
            check_allowed("delays", "training", inputs, commercial=commercial)
        assert "owner" in caught.value.fix
        assert "t0" in caught.value.where
        return
    terms = check_allowed("delays", "training", inputs, commercial=commercial)
    under, credit = expected
    assert terms.pass_on is (under != "closed")
    assert (", ".join(terms.under) if terms.under is not None else FREE) == under.replace(
        "closed", FREE
    )
    assert bool(terms.credits) is bool(credit)
    assert check_allowed("delays", "training", inputs, commercial=commercial) == terms


def test_every_refusing_source_is_named_with_its_owner_and_what_to_do():
    inputs = {
        "a": replace(INPUTS["weather"], licence="CC-BY-ND-4.0", owner="met office"),
        "b": replace(INPUTS["weather"], purposes=("research",), owner="ops"),
        "c": INPUTS["outcomes"],
    }
    with pytest.raises(DeclarationError) as caught:
        check_allowed("delays", "training", inputs)
    told = str(caught.value)
    for part in ("a: its licence CC-BY-ND-4.0", "b: it allows research only", "met office, ops"):
        assert part in told
    assert "c:" not in told


def test_what_is_closed_may_not_leave_the_house():
    closed = check_allowed(
        "d", "training", {"t": replace(INPUTS["weather"], licence="LicenseRef-Acme")}
    )
    with pytest.raises(DeclarationError, match="may not be passed on: not to be passed on: of t"):
        check_passing_on("d@1.0.0", closed.to_json())
    open_ = check_allowed("d", "training", INPUTS)
    check_passing_on("d@1.0.0", open_.to_json())
    check_passing_on("d@1.0.0", {})


def test_alternatives_and_their_order():
    found = choices("MIT AND (CC0-1.0 OR CC-BY-4.0)")
    assert [[each.id for each in one] for one in found] == [
        ["CC0-1.0", "MIT"],
        ["CC-BY-4.0", "MIT"],
    ]
    with pytest.raises(DeclarationError, match="not an SPDX"):
        choices(" AND ".join(["(MIT OR CC0-1.0)"] * 7))


def test_the_table_is_consistent():
    """What a share-alike licence names exists, and allows nothing that it forbids itself."""
    for one in table().values():
        for name in one.under or ():
            other = table()[name.lower()]
            assert other.derivatives
            assert other.commercial >= one.commercial
        if one.under is not None:
            assert one.id in one.under

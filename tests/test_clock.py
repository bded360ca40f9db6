"""Days and moments as people write them: one form, and an error that names it."""

import pytest

from headrace.core.clock import DAY, end_of, parse_day, parse_days, parse_iso, parse_moment
from headrace.core.errors import DeclarationError

NOT_DAYS = ("yesterday", "today", "20130101", "2013-W01-1", "2013-1-1", "2013-02-30", "13-01-01",
            "2013-01-01T00:00:00Z", " 2013-01-01", "",
            "\u0662\u0660\u0661\u0663-01-01")  # fmt: skip


@pytest.mark.parametrize("text", NOT_DAYS)
def test_what_is_not_a_day_is_refused_with_its_form(text):
    with pytest.raises(DeclarationError, match="is not a day") as refused:
        parse_day(text, "--from")
    assert refused.value.where == "--from"
    assert "YYYY-MM-DD, for example 2013-02-12" in refused.value.fix


def test_a_range_may_be_open_and_must_not_be_reversed():
    assert parse_days(None, None) == ("", "")
    assert parse_days("2013-01-01", None) == ("2013-01-01", "")
    assert parse_days("2013-01-01", "2013-01-01") == ("2013-01-01", "2013-01-01")
    with pytest.raises(DeclarationError, match="reversed") as refused:
        parse_days("2013-01-02", "2013-01-01")
    assert refused.value.fix == "--from 2013-01-01 --to 2013-01-02"


@pytest.mark.parametrize("parse", [lambda text: parse_moment(text, "--as-of"), end_of])
@pytest.mark.parametrize("text", ["20130101", "yesterday", "2013-02-30", "2013-01-01T25:00"])
def test_a_moment_begins_as_a_day(parse, text):
    with pytest.raises(DeclarationError, match="is not a day"):
        parse(text)


def test_moments_are_exact():
    assert parse_moment("2013-01-01", "--as-of") == parse_iso("2013-01-01T00:00:00Z")
    assert end_of("2013-01-01") == parse_iso("2013-01-01") + DAY
    assert end_of("2013-01-01T06:00:00Z") == parse_iso("2013-01-01T06:00:00Z")

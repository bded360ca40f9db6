import pytest

from headrace.web.report_address import report_url


def test_a_report_has_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_REPORTS_URL", raising=False)
    assert report_url("schedule", "abc") == "http://127.0.0.1:3070/batch/schedule/abc"


def test_the_address_is_what_people_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_REPORTS_URL", "https://data.example.com/gates/")
    assert report_url("schedule", "abc") == "https://data.example.com/gates/batch/schedule/abc"


def test_a_name_stays_one_part_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_REPORTS_URL", "http://x")
    assert report_url("a/b", "../c") == "http://x/batch/a%2Fb/..%2Fc"

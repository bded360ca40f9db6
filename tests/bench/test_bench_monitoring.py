"""Verdicts on peers are taken as their words say."""

import pytest

from bench.monitoring_settings import MOST_DATA, SETTINGS, Seen, chosen
from bench.monitoring_study import pictures

RULES = {(one.name, one.setting): one for one in SETTINGS}


def unit(
    value: float = 0.05, p: float = 0.5, auc: float = 0.8, rows: int = 100, null: float = 0.0
) -> dict:
    """What both scripts say of a window with two columns, of which the first is like this."""
    other = [0.01, False]
    plain = {"a": [value, p], "b": [0.01, 0.9]}
    return {
        "evidently": {
            "preset": {"a": [value, value > 0.1], "b": other},
            "recent": {"a": [value, value > 0.1], "b": other},
            "plain": plain,
            "plain_recent": plain,
            "nulls": {"a": null, "b": 0.0},
            "rows": rows,
            "auc": auc,
        },
        "nannyml": {
            "drift": {"a_js": [value, value > 0.1, 0.1, None]},
            "missing": {"a": [null, null > 0, 0.0, None]},
            "unseen": {"b": [0.0, False, 0.0, None]},
            "realized": {"roc_auc": [auc, auc < 0.7, 0.9, 0.7]},
            "estimated": {"roc_auc": [0.8, False, 0.9, 0.7]},
        },
    }


def seen(**now: float) -> Seen:
    calm = [unit(value) for value in (0.02, 0.05, 0.04)]
    return Seen(unit(**now), calm, calm)


def alarms(name: str, setting: str, size: float = 1.0, **now: float) -> tuple[bool, bool]:
    rule = RULES[name, setting]
    return rule.data(seen(**now), size), rule.concept(seen(**now), size)


def test_defaults_are_the_peers_own_limits():
    assert alarms("Evidently", "defaults: any column drifts", value=0.2) == (True, False)
    assert alarms("Evidently", "defaults: half of the columns drift", value=0.2) == (True, False)
    assert alarms("Evidently", "defaults: any column drifts", auc=0.6) == (False, True)
    assert alarms("Evidently", "defaults: any column drifts", auc=0.7) == (False, False)
    assert alarms("NannyML", "defaults", value=0.2, auc=0.6) == (True, True)
    assert alarms("PSI", "over 0.2 in any column", value=0.3) == (True, False)
    assert alarms("KS and chi squared", "p below 0.05 in any column", p=0.04) == (True, False)


def test_a_tuned_setting_holds_a_window_to_its_own_past():
    tuned = ("Evidently", "tuned")
    assert alarms(*tuned, value=0.06) == (True, False)
    assert alarms(*tuned, size=1.5, value=0.06) == (False, False)
    assert alarms(*tuned, null=0.1) == (True, False)
    assert alarms(*tuned, rows=60) == (True, False)
    assert alarms(*tuned, size=5.0, auc=0.7) == (False, True)
    assert alarms("NannyML", "tuned", size=1.5, value=0.12, auc=0.6) == (False, True)
    assert alarms("NannyML", "tuned", null=0.06) == (True, False)
    assert alarms("KS and chi squared", "tuned", size=2.0, p=0.003) == (False, False)
    assert alarms("KS and chi squared", "tuned", size=1.0, p=0.003) == (True, False)


def without(found: dict, path: tuple) -> dict:
    """The same with None for one number."""
    if not path:
        return None
    changed = list(found) if isinstance(found, list) else dict(found)
    changed[path[0]] = without(found[path[0]], path[1:])
    return changed


@pytest.mark.parametrize(
    "path",
    [
        ("evidently", "auc"),
        *(("nannyml", "drift", "a_js", at) for at in (0, 2)),
        *(("nannyml", "missing", "a", at) for at in (0, 2)),
        *(("nannyml", "realized", "roc_auc", at) for at in (0, 2, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("one", SETTINGS, ids=lambda one: f"{one.name}, {one.setting}")
def test_what_a_peer_could_not_compute_is_no_alarm_and_no_crash(one, path):
    """An area under the curve needs outcomes of both kinds, a distance values."""
    calm, gap = unit(0.02), without(unit(0.02), path)
    for windows in ([calm, gap], [gap, gap]):
        missing = Seen(gap, windows, windows)
        assert (one.data(missing, 1.0), one.concept(missing, 1.0)) == (False, False)


def test_the_number_of_a_setting_is_the_least_that_is_quiet_enough():
    rule = RULES["Evidently", "tuned"].data
    windows = [seen(value=0.05 * (1 + at / 10)) for at in range(10)]
    assert chosen(rule, windows, MOST_DATA) == 2.0
    assert chosen(rule, windows[:1], MOST_DATA) == 1.0


def test_pictures_are_drawn_of_what_was_counted():
    groups = [
        {"kind": kind, "grade": grade, "injected": 4, "attributed": 3}
        for kind, grade in [("data", "certain"), ("concept", "strong")]
    ]
    natural = {"windows": 50, "data_alarms": 1, "concept_alarms": 2}
    peer = {"name": "PSI", "setting": "a < b", "natural": natural, "groups": groups}
    quiet, found = pictures({"peers": [peer]}).values()
    assert "PSI, a &lt; b" in quiet
    assert ">2%<" in quiet
    assert ">4%<" in quiet
    assert found.count(">75%<") == 2

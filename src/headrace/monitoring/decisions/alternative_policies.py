"""Alternative policies, whose decisions are compared with the recorded decisions."""

from dataclasses import dataclass, replace

from headrace.monitoring.decisions.policy import Policy

_NO_END = 1_000_000


@dataclass(frozen=True)
class Alternative:
    """Another policy, with one sentence on how it differs from the current policy."""

    name: str
    description: str
    policy: Policy


def alternatives(policy: Policy) -> list[Alternative]:
    """Return common alternatives. None of them retrains on a fault, because no policy can."""
    eager = replace(
        policy,
        quorum=1,
        hysteresis=1,
        retrain_on=("concept", "performance", "population", "schedule"),
        cool_down=0,
        budget=_NO_END,
        attempts=_NO_END,
        patience=1,
    )
    fewer = max(1, policy.quorum // 2)
    return [
        Alternative(
            "never retrain", "Evidence is watched and never starts a retraining.", _never(policy)
        ),
        Alternative(
            "retrain on any drift",
            "Each shifted column and each worse window starts a retraining, without a budget.",
            eager,
        ),
        Alternative(
            f"quorum {fewer}",
            f"A population shift needs {fewer} shifted column(s) instead of {policy.quorum}.",
            replace(policy, quorum=fewer),
        ),
        Alternative(
            f"hysteresis {policy.hysteresis + 1}",
            f"Evidence must last {policy.hysteresis + 1} windows instead of {policy.hysteresis}.",
            replace(policy, hysteresis=policy.hysteresis + 1),
        ),
    ]


def _never(policy: Policy) -> Policy:
    return replace(policy, retrain_on=(), max_age=None)

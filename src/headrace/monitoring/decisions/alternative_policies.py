"""Alternative policies, to compare a history with what other rules would have decided."""

from dataclasses import dataclass, replace

from headrace.monitoring.decisions.policy import Policy

_NO_END = 1_000_000


@dataclass(frozen=True)
class Alternative:
    """Another policy, and in one sentence how it differs."""

    name: str
    description: str
    policy: Policy


def alternatives(policy: Policy) -> list[Alternative]:
    """Return the most requested alternatives. None retrains on a fault, because no policy can."""
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
        Alternative("never retrain", "Nothing retrains; all is watched.", _never(policy)),
        Alternative(
            "retrain on any drift",
            "One moved column or one worse week retrains, as often as it comes.",
            eager,
        ),
        Alternative(
            f"quorum {fewer}",
            f"{fewer} moved column(s) are a shift, instead of {policy.quorum}.",
            replace(policy, quorum=fewer),
        ),
        Alternative(
            f"hysteresis {policy.hysteresis + 1}",
            f"It has to last {policy.hysteresis + 1} windows, instead of {policy.hysteresis}.",
            replace(policy, hysteresis=policy.hysteresis + 1),
        ),
    ]


def _never(policy: Policy) -> Policy:
    return replace(policy, retrain_on=(), max_age=None)

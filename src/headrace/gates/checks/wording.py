"""Phrases that all checks use: the required share of rows, and the number of failing rows."""

from headrace.gates.checks.check import Scope


def mostly_words(scope: Scope) -> str:
    share = "" if scope.mostly == 1 else f" in at least {scope.mostly:.6g} of rows"
    return share + scope.words


def reason_words(unexpected: int, considered: int, what: str, scope: Scope) -> str:
    return f"{unexpected} of {considered} {what}{scope.words}"

"""A report made by hand, in which every text comes from one function."""

from collections.abc import Callable

from headrace.gates import Judgement, Result, Verdict
from headrace.gates.compare import Bars, ColumnComparison, Comparison, Stats
from headrace.reports.batch.model import (
    ActionStep,
    BatchHistory,
    FailingRow,
    FailingRows,
    LastGood,
    LogEntry,
    Origin,
    Reach,
    Report,
    RuleHistory,
    Rules,
)

NOW = 1_360_000_000_000_000


def a_report(say: Callable[[], str], *, state: str = "pending", verdict: str = "BLOCK") -> Report:
    """`say` is asked for each text that data, a declaration or a person may have written."""
    text = Stats(rows=3, nulls=0, distinct=2, low=say(), high=say())
    number = Stats(rows=3, nulls=1, distinct=2, low=1, median=2.5, high=say())
    return Report(
        table=say(),
        slot=say(),
        batch_id=say(),
        state=state,
        judgement=Judgement(
            verdict=Verdict(verdict),
            results=(
                _result(say, "semantic"),
                _result(say, "expectation"),
                _result(say, "expectation", status="error"),
                _result(say, "expectation", shadow=True),
            ),
            suite=say(),
            suite_hash=say(),
            contract_hash=say(),
            delivered=10,
            conformed=10,
            quarantined_count=2,
        ),
        passing=8,
        origin=Origin(
            say(), say(), say(), say(), say(), 100, NOW, NOW, say(), origins=(say(), say())
        ),
        rules=Rules(say(), say(), say(), say(), say(), say(), NOW, False, ((say(), say()),)),
        reach=Reach(
            say(),
            views=((say(), 3),),
            datasets=((say(), say()),),
            models=(say(),),
            consumers=(say(),),
            released=(say(),),
            trained=(say(),),
        ),
        rendered_at=NOW,
        published_at=NOW,
        note=say(),
        successor=say(),
        last_good=LastGood(say(), say(), 9, NOW, say()),
        rows=FailingRows(
            (FailingRow(3, ((say(), say()),), ((say(), say()), (say(), [say()])), (say(), say())),),
            7,
            say(),
            ((say(), say()),),
        ),
        comparison=Comparison(
            10,
            9,
            (
                ColumnComparison(say(), "string", text, text, 0.5, 0.1, Bars((0.5, 0.5), (1.0, 0.0),
                         (say(), say()))),
                ColumnComparison(say(), "int64", number, number, 0.5, None,
                         Bars((0.5, 0.5), (1.0, 0.0), (), say(), say()), (say(), say())),
                ColumnComparison(say(), say(), None, text, 1.0),
            ),
        ),
        units=((say(), say()),),
        history=BatchHistory(
            (say(), say()), ("PASS", say()), (RuleHistory(say(), ("PASS", say())),)
        ),
        log=(LogEntry(NOW, say(), say(), say(), say(), NOW, False, say()),),
        steps=(ActionStep(say(), say(), say(), say()),),
    )  # fmt: skip


def _result(say: Callable[[], str], kind: str, *, status: str = "fail", shadow: bool = False):
    return Result(
        id=say(), kind=kind, type=say(), columns=(say(),), status=status, observed=say(),
        expected=say(), reason=say(), note=say(), shadow=shadow,
    )  # fmt: skip

"""What a person can do about a batch, the likeliest first: commands, and pages that do the same."""

import shlex
from collections.abc import Callable, Iterator

from headrace.gates.report.model import Step

# From the name of an action to the page where a browser can do it; "" where there is none.
Link = Callable[[str], str]


def no_link(action: str) -> str:
    """Of an installation without a user interface."""
    del action
    return ""


def steps(
    table: str,
    slot: str,
    batch_id: str,
    *,
    state: str,
    verdict: str,
    quarantined: int,
    failed: tuple[str, ...] = (),
    readable: bool = True,
    link: Link = no_link,
) -> tuple[Step, ...]:
    """The steps that make sense for a batch in this state.

    Args:
        table: its name.
        slot: the batch's.
        batch_id: whole; commands take its start.
        state: as in the ledger.
        verdict: PASS, WARN, QUARANTINE, BLOCK or ERROR.
        quarantined: rows that are in quarantine.
        failed: ids of the checks that did not pass, gravest first.
        readable: whether its rows could be judged; of one that broke its contract none could.
        link: the page of an action.
    """
    named = shlex.join([table, batch_id[:12]])
    closed = state in {"superseded", "rejected", "recalled"}
    found: list[Step] = []
    if state == "pending":
        found += _held(slot, named, link, readable=readable)
    elif quarantined and not closed:
        found.append(
            Step(
                "Release the quarantined rows",
                "They are right after all: publish them. They become usable from that moment,"
                " not before.",
                f"headrace gate release {named} --reason 'why they are right'",
                link("release"),
            )
        )
    if not closed and verdict == "ERROR":
        found.insert(0, _rerun(named, link))
    found += _always(table, slot, named, failed, link, muted=closed)
    if state == "published":
        found.append(
            Step(
                "Recall the batch",
                "It should never have been published: its rows leave tables and stores, and"
                " releases and models that hold them are marked.",
                f"headrace gate recall {named} --reason 'what is wrong'",
                link("recall"),
            )
        )
    if state == "recalled":
        found.insert(
            0,
            Step(
                "Take the recall back",
                "The batch was right: its rows are shown again, usable from that moment.",
                f"headrace gate restore {named} --reason 'why it is right'",
                link("restore"),
            ),
        )
    return tuple(found)


def _held(slot: str, named: str, link: Link, *, readable: bool) -> Iterator[Step]:
    yield Step(
        "Ask for a corrected delivery",
        "The safe way. Once it is there the next run judges it, and it takes this batch's place.",
        _run(slot),
    )
    if readable:
        yield from _overrides(named, link)
    else:
        yield Step(
            "Change the contract",
            "The new form is meant: describe it in the contract, and the same bytes are judged"
            " again. Under the present contract no row of them can be read.",
            f"{_run(slot)}",
        )
    yield Step(
        "Reject it",
        "The data is wrong and will not be corrected: set it aside for good.",
        f"headrace gate reject {named} --reason 'what is wrong'",
        link("reject"),
    )


def _overrides(named: str, link: Link) -> Iterator[Step]:
    yield Step(
        "Release it",
        "The data is right and the gate is not: publish the batch as it is. Who and why go with it"
        " into every release.",
        f"headrace gate release {named} --reason 'why it is right'",
        link("release"),
    )
    yield Step(
        "Publish the rows that passed",
        "Keep the failing rows in quarantine and publish the others.",
        f"headrace gate quarantine {named} --reason 'why the others are right'",
        link("quarantine"),
    )


def _run(slot: str) -> str:
    """The run that takes up a delivery of this slot."""
    day = shlex.quote(slot)
    days = f" --from {day} --to {day}" if slot[:1].isdigit() else ""
    return f"headrace run --stage ingest{days}"


def _rerun(named: str, link: Link) -> Step:
    return Step(
        "Judge it again",
        "The check crashed: once its cause is mended, the same bytes are judged anew.",
        f"headrace gate rerun {named} --reason 'what was mended'",
        link("rerun"),
    )


def _always(
    table: str, slot: str, named: str, failed: tuple[str, ...], link: Link, *, muted: bool
) -> Iterator[Step]:
    yield Step(
        "Look closer",
        "Every column against the last good batch, and every check, in a terminal.",
        f"headrace gate compare {named}\nheadrace gate show {shlex.join([table, slot])}",
    )
    if failed and not muted:
        check = shlex.quote(failed[0])
        yield Step(
            "Mute the check",
            "It cries wolf: no alert from it until a date. Its verdict stays as it is.",
            f"headrace gate mute {shlex.quote(table)} --check {check} --until DATE --reason 'why'",
            link("mute"),
        )

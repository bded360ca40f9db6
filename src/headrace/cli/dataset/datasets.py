"""`headrace dataset ls`: list of all releases; each other command has its own module."""

from dataclasses import asdict

from rich.text import Text

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, grid, marked, out, tell_taints

app = CommandGroup(no_args_is_help=True, help="Immutable dataset releases (name@version).")


@app.command("ls", rich_help_panel="Show")
@explained
def ls(*, as_json: AsJson = False) -> None:
    """List all releases, oldest first, with their taints.

    A release that contains a recalled batch is tainted and refuses to open unless the caller gives
    a reason, which is recorded: `headrace.open(ref, allow_tainted="why")`.
    """
    from headrace.datasets import list_releases

    rows = [asdict(release) for release in list_releases()]
    if as_json:
        emit_json({"releases": rows})
        return
    grid(
        "releases",
        ["release", "rows#", "content hash", "change", "made", "keep until"],
        [
            [
                marked(row),
                row["rows"],
                str(row["content_hash"])[:16],
                row["change"],
                str(row["created_at"])[:19],
                str(row["kept_until"])[:10],
            ]
            for row in rows
        ],
    )
    tell_taints(rows)
    for row in rows:
        if row["expired"]:
            text = (
                f"{row['ref']} is past its retention, {row['kept_until']}: headrace dataset retire"
            )
            out.print(Text(text, "yellow"), soft_wrap=True)
    if not rows:
        out.print("nothing released yet: headrace run")

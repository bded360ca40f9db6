"""`headrace new`: scaffold a project of one's own."""

import typer

app = typer.Typer(no_args_is_help=True, help="Start a project of your own.")

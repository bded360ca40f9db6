"""Command classes: `--pipeline` as option or argument; earlier names of commands and options."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from headrace.cli.output import err

F = TypeVar("F", bound=Callable[..., Any])

# {earlier option name: present name}; earlier names are accepted until version 0.3. A command
# accepts one if it has an option with the present name and no option with the earlier name.
EARLIER_OPTIONS = {
    "--anew": "--full-refresh",
    "--delete": "--apply",
    "--fill": "--sync",
    "--into": "--out",
    "--store": "--backend",
    "--to": "--out",
    "--via": "--backend",
}


def warn_of_name(earlier: str, present: str) -> None:
    """Warn that a name has been replaced; on stderr, since stdout may be a JSON document."""
    err.print(
        f"{earlier} is now {present}; the earlier name will be removed in version 0.3",
        style="yellow",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


class Command(TyperCommand):
    """Command that accepts earlier option names.

    A command with the option `--pipeline` and no arguments also accepts the pipeline's name as an
    argument.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - those of Typer
        super().__init__(*arguments, **settings)
        kinds = {param.name: param.param_type_name for param in self.params}
        self.pipeline_as_argument = (
            kinds.get("pipeline") == "option" and "argument" not in kinds.values()
        )
        if self.pipeline_as_argument:
            self.allow_extra_args = True
            self.options_metavar = "[OPTIONS] [PIPELINE]"

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Replace earlier names of options, and parse the arguments."""
        options = {name for param in self.params for name in (*param.opts, *param.secondary_opts)}
        rest = super().parse_args(ctx, [self._present(word, options) for word in args])
        if self.pipeline_as_argument and rest:
            if len(rest) > 1 or ctx.params["pipeline"] is not None:
                ctx.fail(f"Got unexpected extra argument(s) ({' '.join(rest)})")
            ctx.params["pipeline"] = rest[0]
        return rest

    @staticmethod
    def _present(word: str, options: set[str]) -> str:
        name, equals, argument = word.partition("=")
        present = EARLIER_OPTIONS.get(name)
        if present not in options or name in options:
            return word
        warn_of_name(name, present)
        return present + equals + argument


class CommandGroup(typer.Typer):
    """Command group whose commands can also be called by their earlier names."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401
        return super().command(name, cls=Command, **settings)

    def renamed(self, earlier: str, present: str, command: Callable[..., Any]) -> None:
        """Add a hidden command under an earlier name, such as `gate release` of `gate approve`."""

        @wraps(command)
        def run(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            warn_of_name(f"headrace {earlier}", f"headrace {present}")
            return command(*arguments, **options)

        self.command(earlier.rpartition(" ")[2], hidden=True)(run)

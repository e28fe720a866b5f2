"""Commands that are imported when they are called, with an example in their help."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from voiceid.cli import exit_codes

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class CommonOption(click.Option):
    """An option of every command, listed apart from the command's own."""


class Command(click.Command):
    """A command whose help ends with an example.

    Parameters
    ----------
    example : str
        One line, as it would be typed.
    """

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self.context_settings = CONTEXT_SETTINGS

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the common ones."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        del ctx
        _write_example(self.example, formatter)


class Group(click.Group):
    """Commands under one word.

    Parameters
    ----------
    example : str
        One line, as it would be typed.
    lazy : mapping of str to (str, str), optional
        Commands by name: the module whose ``command`` it is, and the line for the listing,
        so that showing the listing imports none of them.
    """

    def __init__(
        self,
        *args: Any,
        example: str,
        lazy: Mapping[str, tuple[str, str]] | None = None,
        **kwargs: Any,
    ) -> None:
        # Without arguments some versions of click print the help and exit with 0.
        kwargs["no_args_is_help"] = False
        super().__init__(*args, **kwargs)
        self.example = example
        self.lazy = dict(lazy or {})
        self.context_settings = CONTEXT_SETTINGS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help on standard error when nothing was asked for; that is a usage error."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(exit_codes.USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people meet the commands."""
        del ctx
        return [*self.lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now if it is a lazy one."""
        if cmd_name in self.lazy:
            command = import_module(self.lazy[cmd_name][0]).command
            if not isinstance(command, click.Command):
                raise TypeError(f"{self.lazy[cmd_name][0]} has no command")
            return command
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of ``args[0]``; say what was probably meant when there is none."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            close = difflib.get_close_matches(word, self.list_commands(ctx), n=1)
            guess = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"No such command {word!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with its line."""
        del ctx
        rows = [(name, line) for name, (_, line) in self.lazy.items()]
        rows += [(name, c.get_short_help_str(limit=100)) for name, c in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        del ctx
        _write_example(self.example, formatter)


def _write_example(example: str, formatter: click.HelpFormatter) -> None:
    with formatter.section("Example"):
        # Not `write_text`, which would wrap a line that is meant to be copied.
        formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def _write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Common options": []}
    for param in command.get_params(ctx):
        # Some versions of click list arguments too; the usage line shows them already.
        record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
        if record is not None:
            name = "Common options" if isinstance(param, CommonOption) else "Options"
            sections[name].append(record)
    for name, records in sections.items():
        if records:
            with formatter.section(name):
                formatter.write_dl(records)

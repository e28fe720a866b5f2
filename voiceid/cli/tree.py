"""Commands that are imported on use, with examples in their help."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from voiceid.cli import exit_codes

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class CommonOption(click.Option):
    """An option of every command, listed in full only in the help of the program."""


class AudioOption(CommonOption):
    """An option of every command that hears audio, listed in the help of each."""


class _WithExamples(click.Command):
    """The base of commands and groups: the help ends with examples, one line each."""

    def __init__(self, *args: Any, examples: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.context_settings = CONTEXT_SETTINGS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse a single-value option that is given twice: click silently drops the first."""
        order = self.make_parser(ctx).parse_args(list(args))[2]
        for option in [] if ctx.resilient_parsing else order:
            is_one = isinstance(option, click.Option) and not (option.multiple or option.is_flag)
            if is_one and order.count(option) > 1:
                raise click.UsageError(f"{max(option.opts, key=len)} is given twice.", ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the common ones."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        del ctx
        with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
            for line in self.examples:
                # Not `write_text`, which would wrap a line that people copy.
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Command(_WithExamples):
    """A command that does something."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; None as the result means done."""
        code = super().invoke(ctx)
        return exit_codes.DONE if code is None else code


class Group(_WithExamples, click.Group):
    """Commands under one word.

    ``lazy`` has, by heading in the help, commands by name with their line for the listing, so that
    the listing imports none of them.  ``modules`` followed by a command's name is the module that
    has it as ``command``.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, Mapping[str, str]] | None = None,
        modules: str = "",
        **kwargs: Any,
    ) -> None:
        # Without arguments some versions of click print the help and exit with 0.
        super().__init__(*args, no_args_is_help=False, **kwargs)
        self.lazy, self.modules = dict(lazy or {}), modules

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help on standard error without arguments, which is a usage error."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(exit_codes.USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the listing."""
        del ctx
        return [*(name for listed in self.lazy.values() for name in listed), *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; a lazy one is imported now."""
        for listed in self.lazy.values():
            if cmd_name in listed:
                command: click.Command = import_module(self.modules + cmd_name).command
                command.short_help = listed[cmd_name]
                return command
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of ``args[0]``; suggest a similar name if there is none."""
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
        own = {name: c.get_short_help_str(limit=100) for name, c in self.commands.items()}
        sections = {heading: dict(listed) for heading, listed in self.lazy.items()}
        if own:
            sections["Commands"] = {**sections.get("Commands", {}), **own}
        widest = max(len(name) for listed in sections.values() for name in listed)
        for heading, listed in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:{widest}}", line) for name, line in listed.items()])


def _write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    own: list[tuple[str, str]] = []
    common: dict[str, tuple[str, str]] = {}
    for param in command.get_params(ctx):
        # Some versions of click list arguments too; the usage line shows them already.
        record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
        if record is None:
            continue
        if isinstance(param, CommonOption) and (ctx.parent is None or type(param) is CommonOption):
            common[min(param.opts, key=len)] = record
        else:
            own.append(record)
    if own:
        with formatter.section("Options"):
            formatter.write_dl(own)
    if not common:
        return
    if ctx.parent is None:
        with formatter.section("Common options"):
            formatter.write_dl(list(common.values()))
    else:
        formatter.write(f"\nCommon options: {' '.join(common)}  (voiceid --help)\n")

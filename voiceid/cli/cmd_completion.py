"""``voiceid completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from voiceid.cli.console import Console
from voiceid.cli.options import common_options
from voiceid.cli.root import COMPLETION, PROGRAM
from voiceid.cli.tree import Command


@click.command(
    "completion",
    cls=Command,
    examples=["voiceid completion fish > ~/.config/fish/completions/voiceid.fish"],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@common_options
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell.

    bash: put `eval "$(voiceid completion bash)"` into ~/.bashrc.  zsh: the same with zsh, in
    ~/.zshrc.  fish: save the output, as in the example.
    """
    console = ctx.find_object(Console)
    completion = get_completion_class(shell)
    if console is None or completion is None:
        raise TypeError(f"there is no completion for {shell}")
    script = completion(ctx.find_root().command, {}, PROGRAM, COMPLETION)
    console.binary((script.source_template % script.source_vars()).encode())

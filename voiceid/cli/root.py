"""The command tree."""

from __future__ import annotations

import click

from voiceid.cli.options import audio_options
from voiceid.cli.tree import Group

PROGRAM = "voiceid"
COMPLETION = "_VOICEID_COMPLETE"
"""The variable of shell completions; click derives it from the program's name."""

_COMMANDS = {
    "Ask": {
        "identify": "Decide which enrolled speaker is speaking, if any.",
        "verify": "Decide whether a clip is the voice of one speaker.",
        "compare": "Decide whether two clips have the same voice.",
        "diarize": "Find who speaks when in a recording.",
        "listen": "Identify live speech.",
        "embed": "Print the embedding of a clip.",
    },
    "People": {
        "enroll": "Enrol a speaker from clips of a voice, or many at once.",
        "speakers": "List, show, change, compare, remove, export and import speakers.",
        "samples": "List and remove the samples of a speaker.",
        "challenges": "Create spoken codes: random words that a speaker must say now.",
        "privacy": "Show and erase a person's data, and run the rules of retention.",
    },
    "Measure": {
        "evaluate": "Measure the error rates on labelled recordings.",
        "calibrate": "Fit the thresholds to labelled recordings.",
        "calibrations": "List, show, choose and remove calibrations.",
        "adapt": "Learn how the site changes voices, and remove that.",
        "adaptations": "List, choose and remove adaptations.",
        "plot": "Draw the enrolled voices, or scores, similarity and errors of clips.",
    },
    "Upkeep": {
        "serve": "Serve the functions of the commands over HTTP.",
        "models": "List, show, pull, verify, add, fit, remove and switch models.",
        "database": "Show, upgrade, check, back up, restore and copy the database.",
        "audit": "List, verify and export the record of changes and decisions.",
        "attempts": "List failed attempts, and end the locks that they cause.",
        "keys": "Create, list and remove keys of the service; manage the key of the gallery.",
        "index": "Show and rebuild the search index.",
        "stats": "Show the numbers of the gallery.",
        "config": "Show, check and write the settings.",
        "demo": "Try it on recordings of real meetings.",
        "doctor": "Examine the whole installation.",
        "completion": "Print the script that completes commands in a shell.",
    },
}


@click.group(
    cls=Group,
    lazy=_COMMANDS,
    modules="voiceid.cli.cmd_",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    examples=["voiceid enroll alice a1.wav a2.wav a3.wav", "voiceid identify door.mp3"],
)
@click.option("--version", is_flag=True, help="Show all versions, and exit.")
@audio_options
@click.pass_context
def root(ctx: click.Context, *, version: bool) -> None:
    """Enrol people by voice and find who is speaking: on a CPU, without a cloud.

    Common options may stand before the command or after it.  AUDIO is a file of any usual
    format, or - for standard input.  Exit codes: 0 accepted or done, 10 rejected or
    unknown, 11 inconclusive, 2 usage, 20 and up errors.
    """
    if version:
        from voiceid.cli.version import tell_version  # noqa: PLC0415 - like a command's

        tell_version(ctx.obj)
        ctx.exit()
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command.")

"""The command tree."""

from __future__ import annotations

import click

from voiceid.cli.options import audio_options
from voiceid.cli.tree import Group

PROGRAM = "voiceid"
COMPLETION = "_VOICEID_COMPLETE"
"""By which a shell asks for completions; click derives it from the program's name."""

_COMMANDS = {
    "enroll": (
        "voiceid.cli.cmd_enroll",
        "Enrol a speaker from clips of a voice, or many at once.",
    ),
    "verify": ("voiceid.cli.cmd_verify", "Decide whether a clip is the voice of one speaker."),
    "identify": ("voiceid.cli.cmd_identify", "Decide who of the enrolled is speaking, if any."),
    "compare": ("voiceid.cli.cmd_compare", "Decide whether two clips are of one voice."),
    "embed": ("voiceid.cli.cmd_embed", "Print the embedding of a clip."),
    "evaluate": (
        "voiceid.cli.cmd_evaluate",
        "Measure the error rates on recordings whose speakers are known.",
    ),
    "calibrate": (
        "voiceid.cli.cmd_calibrate",
        "Fit the thresholds to recordings whose speakers are known.",
    ),
    "calibrations": (
        "voiceid.cli.cmd_calibrations",
        "List, show, choose and remove calibrations.",
    ),
    "adapt": (
        "voiceid.cli.cmd_adapt",
        "Learn what the site does to voices, and take it out.",
    ),
    "adaptations": (
        "voiceid.cli.cmd_adaptations",
        "List, choose and remove adaptations.",
    ),
    "speakers": (
        "voiceid.cli.cmd_speakers",
        "List, show, change, compare, remove, export and import speakers.",
    ),
    "samples": ("voiceid.cli.cmd_samples", "List and remove the samples of a speaker."),
    "models": (
        "voiceid.cli.cmd_models",
        "List, show, pull, verify and remove models, and add others.",
    ),
    "plot": (
        "voiceid.cli.cmd_plot",
        "Draw the enrolled voices, or scores, similarity and errors of clips.",
    ),
    "database": (
        "voiceid.cli.cmd_database",
        "Show, upgrade, check, back up, restore and copy the database.",
    ),
    "index": ("voiceid.cli.cmd_index", "Show and rebuild the search index."),
    "stats": ("voiceid.cli.cmd_stats", "Count what is in the gallery."),
    "config": ("voiceid.cli.cmd_config", "Show, check and write the settings."),
    "doctor": ("voiceid.cli.cmd_doctor", "Examine the whole installation."),
    "completion": (
        "voiceid.cli.cmd_completion",
        "Print the script that completes commands in a shell.",
    ),
}


@click.group(
    cls=Group,
    lazy=_COMMANDS,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    example="voiceid enroll alice a1.wav a2.wav && voiceid identify door.mp3",
)
@click.option("--version", is_flag=True, help="Show the versions of all there is, and exit.")
@audio_options
@click.pass_context
def root(ctx: click.Context, *, version: bool) -> None:
    """Enrol people by voice and tell who is speaking: on a CPU, without a cloud.

    Common options may stand before the command or after it.  AUDIO is a file of any usual
    format, or - for standard input.  Exit codes: 0 accepted or done, 10 rejected or
    unknown, 11 inconclusive, 2 usage, 20 and up errors.
    """
    if version:
        from voiceid.cli.version import tell_version  # noqa: PLC0415 - like a command's

        ctx.exit(tell_version(ctx.obj))
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command.")

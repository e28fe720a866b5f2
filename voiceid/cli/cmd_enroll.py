"""``voiceid enroll``."""

from __future__ import annotations

from typing import Literal

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.enrollment_text import problem_lines, report_text
from voiceid.cli.options import Real, audio_options, name_argument
from voiceid.cli.session import open_voiceid
from voiceid.cli.sources import clips
from voiceid.cli.tree import Command
from voiceid.errors import EnrollmentRefused


@click.command(
    "enroll",
    cls=Command,
    short_help="Enrol a speaker from clips of their voice.",
    example="voiceid enroll alice a1.wav a2.wav a3.mp3",
)
@name_argument
@click.argument("audio", metavar="AUDIO...", nargs=-1, required=True)
@click.option(
    "--append", "mode", flag_value="append", default=True, help="Add to what there is (default)."
)
@click.option("--replace", "mode", flag_value="replace", help="Put these clips in its place.")
@click.option(
    "--min-speech",
    type=Real(0.0, 3600.0),
    metavar="S",
    help="Net speech in seconds that the speaker needs in all (default: from config.yaml).",
)
@click.option("--force", is_flag=True, help="Override problems that are judgement; it is recorded.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@audio_options
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    name: str,
    audio: tuple[str, ...],
    mode: Literal["append", "replace"],
    min_speech: float | None,
    *,
    force: bool,
    dry_run: bool,
) -> int:
    """Enrol a speaker from clips of their voice.

    NAME is new, or somebody enrolled who gets more clips.  Each AUDIO is one recording of
    that person alone.  Before anything is written every clip is checked, and all the
    clips against each other and against everybody enrolled; a refused enrolment changes
    nothing and exits with 40.
    """
    sources = clips(audio)
    with open_voiceid(console, enrollment__min_speech_s=min_speech) as vid:
        report = vid.enroll(name, sources, mode=mode, force=force, dry_run=dry_run)
    if report.blocking or not (report.enrolled or report.dry_run):
        raise EnrollmentRefused(f"{report.name} was not enrolled", report=report)
    if console.settings.as_json:
        console.json(report.to_dict())
        return exit_codes.DONE
    console.result(report_text(report))
    for line in problem_lines(report):
        console.warn(line)
    return exit_codes.DONE

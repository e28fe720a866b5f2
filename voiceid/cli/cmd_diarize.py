"""``voiceid diarize``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from voiceid.cli import exit_codes
from voiceid.cli.clip_arguments import clips
from voiceid.cli.console import Console
from voiceid.cli.diarization_results import Results
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import (
    Parsed,
    audio_arguments,
    leaf,
    purpose_option,
    refuse_both,
    target_fmr_option,
    target_fpir_option,
    threshold_option,
)
from voiceid.cli.output_files import agreed_format
from voiceid.errors import AudioError

if TYPE_CHECKING:
    from voiceid.transcripts import Transcript


def _speakers(value: object) -> tuple[int, int]:
    if isinstance(value, tuple):
        return value
    low, dash, high = str(value).partition("-")
    try:
        counts = int(low), int(high if dash else low)
    except ValueError as error:
        raise ValueError("not N or MIN-MAX, as in 2 or 2-4") from error
    if not 1 <= counts[0] <= counts[1]:
        raise ValueError("not 1 or more, the lower number first")
    return counts


@leaf(
    "diarize",
    examples=[
        "voiceid diarize meeting.mp3",
        "voiceid diarize meeting.mp3 --speakers 2-4 --format rttm -o meeting.rttm",
        "voiceid diarize meeting.mp3 --transcript meeting.srt -o named.srt",
    ],
    audio=True,
)
@audio_arguments
@click.option(
    "--speakers",
    type=Parsed("number", _speakers),
    metavar="N|MIN-MAX",
    help="The number of people, if known: 2, or 2-4.",
)
@click.option("--no-names", is_flag=True, help="Do not look for enrolled speakers.")
@click.option(
    "--link",
    is_flag=True,
    help="Give an unknown voice the same name in all recordings: unknown-a, unknown-b, ...",
)
@click.option("--group", metavar="GROUP", help="Look for names only in this group.")
@purpose_option
@target_fmr_option
@target_fpir_option
@threshold_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "rttm", "srt", "vtt", "csv", "audacity"]),
    help="text (default), json, rttm (NIST), srt or vtt (subtitles), csv, or audacity (labels).",
)
@click.option(
    "--transcript",
    metavar="FILE",
    help="Write the names into this transcript of the recording: SRT, WebVTT, or Whisper's JSON.",
)
@click.option(
    "--picture",
    metavar="FILE|FOLDER",
    help="Draw a lane for each voice, as .png or .svg (needs voiceid[plots]).",
)
@click.option(
    "--html",
    metavar="FILE|FOLDER",
    help="Write a page that plays the recording and highlights the speaker.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER",
    help="Write to this file, or one file per recording to this folder.",
)
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    audio: tuple[str, ...],
    no_names: bool,
    link: bool,
    form: str | None,
    transcript: str | None,
    picture: str | None,
    html: str | None,
    output: str | None,
    **how: Any,
) -> int:
    """Find who speaks when in a recording of several people, with the names of enrolled speakers.

    AUDIO is a file, a folder (the audio files in it and below), a pattern, or - for standard
    input.  Voices that are not accepted as enrolled speakers are named unknown-1, unknown-2 and so
    on, in the order in which they first speak.  A transcript keeps its format; its segments are
    cut where the voice changes.  Exits with 0 even if voices are unknown; with many recordings the
    first error decides.
    """
    refuse_both(how)
    of_names = {"--link": link, **{f"--{name}": value for name, value in how.items()}}
    del of_names["--speakers"]
    if no_names and (used := [name for name, value in of_names.items() if value]):
        option = used[0].replace("_", "-")
        raise click.UsageError(f"{option} needs names, but --no-names is given.")
    if transcript is not None and (form or console.settings.as_json):
        raise click.UsageError("--transcript keeps its own format; leave out --format and --json.")
    form = agreed_format(console, form)
    sources = clips(audio, console)
    results = Results(sources, form, output, _read(transcript), picture=picture, page=html)
    codes: list[int] = []
    with open_voiceid(console) as vid:
        from voiceid.diarization import LinkedVoices  # noqa: PLC0415 - for this alone

        names = LinkedVoices() if link else not no_names
        for source in sources:
            try:
                progress = partial(console.listening, source)
                diarization = vid.diarize(source, names=names, progress=progress, **how)
            except AudioError as error:
                if len(sources) == 1:
                    raise
                codes.append(error.exit_code)
                _complain(console, source, error)
                continue
            results.write(console, source, diarization)
    return next(iter(codes), exit_codes.DONE)


def _read(transcript: str | None) -> Transcript | None:
    if transcript is None:
        return None
    from voiceid.transcripts import Transcript  # noqa: PLC0415 - for this alone

    return Transcript.read(transcript)


def _complain(console: Console, source: str, error: AudioError) -> None:
    if console.settings.as_json:
        console.json({"clip": source, **error.to_dict()})
    else:
        console.complain(f"error: {source}: {error.message}", "error")

"""``voiceid enroll``."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from voiceid.cli.asked_speech import require_order
from voiceid.cli.clip_arguments import STDIN, clips, entries_of, people_in
from voiceid.cli.console import Console
from voiceid.cli.enrollment_text import tell_many, tell_one
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import (
    READABLE_FILE,
    SPEAKER_NAME,
    Parsed,
    Real,
    consent_options,
    details_options,
    gathered,
    leaf,
)
from voiceid.cli.word_rounds import WordRounds, teach, word_rounds_options
from voiceid.errors import ManifestInvalid

if TYPE_CHECKING:
    from voiceid.domain import Consent, SpeakerDetails
    from voiceid.enrollment import Part, Person


def _span(value: Any) -> tuple[float, float]:
    if isinstance(value, tuple):
        return value
    try:
        start_s, end_s = map(float, str(value).split("-"))
    except ValueError as error:
        raise ValueError("not START-END in seconds, as in 12.4-31.0") from error
    if not 0.0 <= start_s < end_s < math.inf:  # NaN is not
        raise ValueError("not a start and a later end")
    return start_s, end_s


def _part(
    part: tuple[float, float] | None, voice: str | None, *, solo_part: bool
) -> tuple[float, float] | str | None:
    """Return the part of the recordings to enrol, as the library takes it."""
    if sum([part is not None, solo_part, voice is not None]) > 1:
        raise click.UsageError("Give only one of --part, --solo-part and --voice.")
    return "solo" if solo_part else part if voice is None else voice


@leaf(
    "enroll",
    examples=[
        "voiceid enroll alice a1.wav a2.wav a3.mp3",
        "voiceid enroll alice a1.wav a2.wav --consent 2026-03 --purpose door --until 2027-12-31",
        "voiceid enroll alice --digits",
        'voiceid enroll jana r*.wav --words "nula jedna dva tři čtyři pět šest sedm"',
    ],
    audio=True,
)
@click.argument("name", metavar="[NAME", required=False, type=SPEAKER_NAME)
@click.argument("audio", metavar="AUDIO...]", nargs=-1)
@click.option("--append", "mode", flag_value="append", default=True, help="Add samples (default).")
@click.option("--replace", "mode", flag_value="replace", help="Replace the samples by these clips.")
@click.option(
    "--min-speech",
    type=Real(0.0, 3600.0),
    metavar="S",
    help="Required net speech of the speaker in seconds (default: from config.yaml).",
)
@click.option(
    "--from-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Enrol many: each folder in DIR is a person, with the folder's name.",
)
@click.option(
    "--manifest",
    type=READABLE_FILE,
    help="Enrol many: CSV or JSON Lines with a name and a path in each line; docs/enrolling.md.",
)
@gathered(
    "part",
    _part,
    click.option(
        "--part",
        type=Parsed("part", _span),
        metavar="START-END",
        help="Enrol this part of the only recording, in seconds: 12.4-31.0.",
    ),
    click.option(
        "--solo-part",
        is_flag=True,
        help="If several people speak in a recording, enrol the speech of the main speaker.",
    ),
    click.option(
        "--voice",
        metavar="VOICE",
        help="Enrol the speech of this voice in the only recording; the name is from `voiceid"
        " diarize`.",
    ),
)
@word_rounds_options
@click.option("--label", metavar="L", help="Where the clips were recorded, e.g. phone.")
@details_options
@consent_options
@click.option(
    "--keep-audio",
    is_flag=True,
    help="Keep the recordings beside the database, for a switch of the model.",
)
@click.option("--force", is_flag=True, help="Enrol despite problems of judgement; it is recorded.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    name: str | None,
    audio: tuple[str, ...],
    mode: Literal["append", "replace"],
    min_speech: float | None,
    from_dir: Path | None,
    manifest: Path | None,
    part: Part | None,
    word_rounds: WordRounds | None,
    label: str | None,
    details: SpeakerDetails,
    consents: tuple[Consent, ...],
    keep_audio: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Enrol a speaker from clips of their voice, or many speakers at once.

    NAME is a new speaker, or an enrolled one who gets more clips.  Each AUDIO is one recording of
    that person alone, or a folder of recordings.  Every clip is checked before anything is written,
    and compared with the other clips and with every enrolled speaker.  A refused enrolment changes
    nothing and exits with 40.  A clip in which several people speak is refused; --part and
    --solo-part enrol the speech of one of them.

    With --from-dir or --manifest the good clips of each person are enrolled and bad clips are left
    out; a refused person does not stop the others, but the exit code is 44.  Clips that are
    enrolled already are skipped, so an interrupted run can be repeated; with --keep-audio their
    recordings are kept from then on.

    With --digits or --words each AUDIO is a round: all words in order, with a short pause after
    each.  Give three to ten; five are better than three.  They teach how NAME, who is enrolled,
    says the words of codes (`voiceid challenges`).  A round that does not fit the others is
    refused, and then nothing is changed.  Without AUDIO each round is asked for in turn, and again
    if it has too few pauses.
    """
    details = replace(details, consents=consents)
    if manifest is not None and (label or not details.changes_nothing):
        raise click.UsageError("With --manifest, use its columns instead: label, group, ...")
    kept = keep_audio or None  # the settings may say it, too
    settings = {"enrollment__min_speech_s": min_speech, "enrollment__keep_audio": kept}
    if isinstance(part, str) and part != "solo" and STDIN in audio:
        raise click.UsageError("--voice reads the recording twice; use a file, not standard input.")
    if word_rounds is not None:
        others = (min_speech, from_dir, manifest, part, label, kept, force or None, dry_run or None)
        if mode == "replace" or not details.changes_nothing or any(o is not None for o in others):
            raise click.UsageError(
                "--digits and --words teach the words of an enrolled speaker: of the other options"
                " only --mic and --rounds go with them."
            )
        if audio and (word_rounds.source, word_rounds.count) != (None, None):
            raise click.UsageError("Give the rounds as AUDIO, or --mic and --rounds to record now.")
    elif from_dir is not None or manifest is not None:
        _refuse_together(name, from_dir, manifest, mode)
        if part is not None:
            raise click.UsageError(
                "--part, --solo-part and --voice are for the clips of one speaker."
            )
        with open_voiceid(console, **settings) as vid:
            people = _people(console, from_dir, manifest, label or "", details)
            tell_many(people, vid.enroll_all(people, force=force, dry_run=dry_run), console)
        return
    if name is None or not (audio or word_rounds):
        raise click.UsageError("NAME and AUDIO... are needed, or --from-dir, or --manifest.")
    require_order(name, audio, console, may_be_new=True)
    sources = clips(audio, console)
    with open_voiceid(console, **settings) as vid:
        if word_rounds is not None:
            teach(vid, name, sources, word_rounds, console)
            return
        report = vid.enroll(
            name,
            sources,
            label=label or "",
            details=details,
            mode=mode,
            force=force,
            dry_run=dry_run,
            part=part,
        )
    tell_one(report, console)


def _refuse_together(
    name: str | None, from_dir: Path | None, manifest: Path | None, mode: str
) -> None:
    if name is not None or (from_dir is not None and manifest is not None):
        raise click.UsageError("Give only one of NAME with AUDIO..., --from-dir and --manifest.")
    if mode == "replace":
        raise click.UsageError("--replace is for one speaker only.")


def _people(
    console: Console,
    from_dir: Path | None,
    manifest: Path | None,
    label: str,
    details: SpeakerDetails,
) -> list[Person]:
    from voiceid.enrollment import Person, read_manifest  # noqa: PLC0415 - loads the engines

    if manifest is not None:
        return read_manifest(manifest, warn=console.warn)
    folder = from_dir or Path()
    if not any(os.path.isdir(p) and p.name[0] != "." for p in entries_of(folder)):
        raise ManifestInvalid(
            f"{folder} has no folders in it", hint="Put one folder per speaker into it."
        )
    people = []
    for name, sources in people_in(folder, console).items():
        labels = (label,) * len(sources) if label else ()
        people.append(Person(name, tuple(sources), labels, details))
    return people

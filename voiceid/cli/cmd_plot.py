"""``voiceid plot``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from voiceid.cli.clip_arguments import clips
from voiceid.cli.console import Console
from voiceid.cli.labelled import Asked, input_options, protocol_of
from voiceid.cli.older_report import older_report
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import branch, leaf, together
from voiceid.cli.output_files import picture_files, write_pictures
from voiceid.cli.plot_clips import Heard, hear, require_pair, speakers_clips
from voiceid.cli.text import counted
from voiceid.errors import SpeakerNotFound, TrialsInvalid
from voiceid.listing import lines_in, open_text

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.domain import Sample, Speaker

_output_options = together(
    click.option(
        "-o",
        "--output",
        metavar="FOLDER|FILE",
        help="Where to write (default: the current folder; with --json, nowhere).",
    ),
    click.option("--force", is_flag=True, help="Replace existing pictures."),
)


@branch("plot", examples=["voiceid plot speakers -o pictures"])
def command() -> None:
    """Draw the enrolled voices, or the scores, similarity and errors of labelled clips.

    Needs additional libraries: pip install 'voiceid[plots]'.
    """


@leaf(
    "speakers",
    examples=["voiceid plot speakers --add door.mp3 -o door.png"],
    group=command,
    audio=True,
)
@click.option(
    "--method",
    type=click.Choice(["pca", "tsne"]),
    default="pca",
    help="Reduction to two dimensions: principal components (default), or t-SNE.",
)
@click.option("--group", metavar="GROUP", help="Draw only the speakers of this group.")
@click.option(
    "--add", multiple=True, metavar="AUDIO", help="Also draw this audio; may be repeated."
)
@_output_options
def speakers_command(
    console: Console,
    *,
    method: Literal["pca", "tsne"],
    group: str | None,
    add: tuple[str, ...],
    output: str | None,
    force: bool,
) -> None:
    """Draw the enrolled voices in the plane: each sample a dot, each speaker a colour.

    Writes speakers.png, and speakers.html to explore: it shows names and clips at the pointer, and
    a single speaker at a click.  Only samples of the embedding space in use are drawn.  With
    --json: the coordinates.
    """
    from voiceid import pictures  # noqa: PLC0415 - matplotlib, an extra

    files = picture_files(_or_here(console, output), "speakers", (".png", ".html"), force=force)
    sources = clips(add, console)
    with open_voiceid(console) as vid:
        enrolled = vid.samples.by_speaker(group)
        if not any(samples for _, samples in enrolled):
            raise _nothing_to_draw(vid, group)
        _tell_others(vid, enrolled, console)
        added = hear(vid, [("", source) for source in sources], console) if sources else Heard()
        space_id = vid.models.space.id
    drawn = [(who.name, sample) for who, samples in enrolled for sample in samples]
    voices = pictures.map_voices(
        _stacked([*(sample.vector for _, sample in drawn), *added.vectors]),
        [*(name for name, _ in drawn), *[None] * len(added.vectors)],
        [*(sample.source_name for _, sample in drawn), *added.names],
        method,
    )
    render = {
        ".png": lambda: pictures.png(pictures.voice_map(voices)),
        ".html": lambda: pictures.voice_page(voices).encode(),
    }
    facts = {**voices.to_dict(), "embedding_space": space_id, "left_out": added.left_out}
    _draw(files, render, facts, console)


@leaf(
    "similarity",
    examples=["voiceid plot similarity people -o people.png"],
    group=command,
    audio=True,
)
@click.argument("sources", metavar="LIST|FOLDER...", nargs=-1, required=True)
@_output_options
def similarity_command(
    console: Console, *, sources: tuple[str, ...], output: str | None, force: bool
) -> None:
    """Draw the cosines of all pairs of clips as a matrix, grouped by speaker: similarity.png.

    A LIST is as for `voiceid enroll`; a FOLDER has a folder for each speaker, or the clips of one
    speaker.  With --json: the matrix.
    """
    from voiceid import pictures  # noqa: PLC0415 - matplotlib, an extra

    files = picture_files(_or_here(console, output), "similarity", (".png",), force=force)
    listed = speakers_clips(sources, console)
    with open_voiceid(console) as vid:
        heard = hear(vid, listed, console)
        space_id = vid.models.space.id
    require_pair(heard)
    matrix = pictures.cosines(_stacked(heard.vectors))
    render = {
        ".png": lambda: pictures.png(pictures.similarity(matrix, heard.speakers, heard.names))
    }
    pairs = zip(heard.speakers, heard.names, strict=True)
    facts = {
        "clips": [{"speaker": speaker, "clip": clip} for speaker, clip in pairs],
        "cosines": matrix.round(6).tolist(),
        "embedding_space": space_id,
        "left_out": heard.left_out,
    }
    _draw(files, render, facts, console)


@leaf(
    "scores", examples=["voiceid plot scores trials.csv -o scores.png"], group=command, audio=True
)
@click.argument("sources", metavar="LIST|FOLDER...", nargs=-1, required=True)
@_output_options
def scores_command(
    console: Console, *, sources: tuple[str, ...], output: str | None, force: bool
) -> None:
    """Draw the distribution of the scores of all pairs of clips: scores.png.

    Genuine pairs are of one speaker, impostor pairs of two; see `voiceid plot similarity
    --help` for LIST and FOLDER.  The thresholds are those that would decide the pairs.
    With --json: the scores.
    """
    from voiceid import pictures  # noqa: PLC0415 - matplotlib, an extra

    files = picture_files(_or_here(console, output), "scores", (".png",), force=force)
    listed = speakers_clips(sources, console)
    with open_voiceid(console) as vid:
        heard = hear(vid, listed, console)
        require_pair(heard)
        in_use = vid.calibrations.thresholds([clip.quality for clip in heard.clips])
        card = f"card {vid.models.card.name}, "  # too long for a picture
        thresholds = {f"{t.value:.3f}, {t.source.removeprefix(card)}": t.value for t in in_use}
        space_id = vid.models.space.id
    genuine, impostor = pictures.pairs(pictures.cosines(_stacked(heard.vectors)), heard.speakers)
    render = {
        ".png": lambda: pictures.png(pictures.score_histograms(genuine, impostor, thresholds))
    }
    facts = {
        "genuine": genuine.round(6).tolist(),
        "impostor": impostor.round(6).tolist(),
        "thresholds": thresholds,
        "embedding_space": space_id,
        "left_out": heard.left_out,
    }
    _draw(files, render, facts, console)


@leaf("det", examples=["voiceid plot det report/report.json -o det.svg"], group=command)
@input_options
@_output_options
def det_command(console: Console, *, asked: Asked, output: str | None, force: bool) -> None:
    """Draw the detection error trade-off (DET): det.png and det.svg, 16:9.

    INPUT is as for `voiceid evaluate`, or the report.json that it wrote, with scores.txt beside
    it.  For each threshold the curve shows how many strangers are accepted (FMR) and how many
    right speakers are refused (FNMR).  With --json: the files.
    """
    from voiceid import pictures  # noqa: PLC0415 - matplotlib, an extra
    from voiceid.evaluation import charts  # noqa: PLC0415 - as above

    files = picture_files(_or_here(console, output), "det", (".png", ".svg"), force=force)
    if asked.input.name == "report.json":
        report = older_report(asked.input)
        try:
            with open_text(asked.input.with_name("scores.txt")) as scores:
                figure = charts.det_of_report(report, lines_in(scores))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrialsInvalid(
                f"the scores of {asked.input} cannot be read: {error}",
                hint="Keep scores.txt beside report.json, where evaluate wrote both.",
            ) from error
    else:
        with open_voiceid(console) as vid:
            protocol = protocol_of(console, asked)
            count = functools.partial(console.count, "hearing")
            figure = charts.det(vid.calibrations.evaluate(protocol, cache=None, tell=count))
    render = {".png": lambda: pictures.png(figure), ".svg": lambda: pictures.svg(figure)}
    _draw(files, render, {}, console)


def _draw(
    files: Sequence[Path],
    render: Mapping[str, Callable[[], bytes]],
    facts: Mapping[str, object],
    console: Console,
) -> None:
    """Write a picture to each file, in the format of its suffix; print facts with ``--json``."""
    write_pictures({file: render[file.suffix.lower()]() for file in files}, console)
    if console.settings.as_json:
        console.json({**facts, "files": [str(file) for file in files]})


def _or_here(console: Console, output: str | None) -> str | None:
    if output is None and not console.settings.as_json:
        return "."
    return output


def _stacked(vectors: list[Any]) -> Any:
    import numpy as np  # noqa: PLC0415 - not needed to show the help

    return np.stack(vectors)


def _nothing_to_draw(vid: VoiceID, group: str | None) -> SpeakerNotFound:
    among = "" if group is None else f" in the group {group!r}"
    return SpeakerNotFound(
        f"no speaker{among} has samples in {vid.models.space.id}, so there is nothing to draw",
        hint="`voiceid speakers list` shows the speakers; choose their model with --model.",
    )


def _tell_others(
    vid: VoiceID, enrolled: Sequence[tuple[Speaker, Sequence[Sample]]], console: Console
) -> None:
    """Report how many samples are not drawn because they are of other embedding spaces."""
    left_out = sum(speaker.n_samples - len(samples) for speaker, samples in enrolled)
    if left_out:
        verb = "is" if left_out == 1 else "are"
        console.note(
            f"{counted(left_out, 'sample')} of other embedding spaces {verb} not drawn:"
            f" only those of {vid.models.space.id} are"
        )

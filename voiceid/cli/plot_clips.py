"""Labelled clips for plots: from lists and folders, embedded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.clip_arguments import STDIN, clips
from voiceid.cli.console import Console
from voiceid.cli.labelled import LISTS, recordings_of
from voiceid.errors import AudioError, NotEnoughSpeech

if TYPE_CHECKING:  # numpy is not needed to show the help
    from voiceid.client import VoiceID
    from voiceid.domain import Float32Array, Utterance

_LISTS = LISTS | {".txt"}


class Heard:
    """Embedded clips, grouped by speaker, and clips that were left out."""

    def __init__(self) -> None:
        self.speakers: list[str] = []
        self.clips: list[Utterance] = []
        self.vectors: list[Float32Array] = []
        self.left_out: list[dict[str, str]] = []

    @property
    def names(self) -> list[str]:
        """The names of the clips."""
        return [clip.name for clip in self.clips]


def speakers_clips(arguments: Sequence[str], console: Console) -> list[tuple[str, str]]:
    """Return (speaker, path) of the clips in lists and folders, by speaker.

    A file that is not a list is a clip of the speaker whose name is the folder's.
    """
    if STDIN in arguments:
        raise click.UsageError("Standard input (-) has no speaker; name lists or folders.")
    by_speaker: dict[str, list[str]] = {}
    for argument in arguments:
        path = Path(argument)
        if os.path.isdir(path) or path.suffix.lower() in _LISTS:
            for recording in recordings_of(path, console):
                by_speaker.setdefault(recording.speaker, []).append(str(recording.path))
        else:
            for clip in clips([argument], console):
                by_speaker.setdefault(Path(clip).resolve().parent.name, []).append(clip)
    return [(name, clip) for name, paths in by_speaker.items() for clip in paths]


def hear(vid: VoiceID, listed: Sequence[tuple[str, str]], console: Console) -> Heard:
    """Embed clips, in parallel like an enrolment; warn about each that is left out."""
    heard = Heard()
    first: dict[str, str] = {}
    results = vid.models.hear_all(path for _, path in listed)
    for number, ((speaker, path), result) in enumerate(zip(listed, results, strict=True), 1):
        console.count("listening", number, len(listed))
        why = _unusable(result, first)
        if isinstance(result, AudioError) or result.embedding is None or why:
            heard.left_out.append({"clip": path, "why": why})
            console.warn(f"{path} left out: {why}")
            continue
        first[result.pcm_sha256] = path
        heard.vectors.append(result.embedding.vector)
        heard.speakers.append(speaker)
        heard.clips.append(result)
    return heard


def require_pair(heard: Heard) -> None:
    """Raise NotEnoughSpeech with fewer than two clips to compare."""
    if len(heard.vectors) < 2:  # noqa: PLR2004 - a comparison is of two
        raise NotEnoughSpeech(
            f"there is nothing to compare: {len(heard.vectors)} of"
            f" {len(heard.vectors) + len(heard.left_out)} clips can be used",
            hint="Give lists or folders of clips with speech.",
        )


def _unusable(result: Utterance | AudioError, first: dict[str, str]) -> str:
    """Return why a clip cannot be drawn, or an empty text."""
    if isinstance(result, AudioError):
        return result.message
    if result.embedding is None:
        return f"{result.quality.net_speech_s:.2f} s of net speech are too little"
    if result.pcm_sha256 in first:
        return f"the same recording as {first[result.pcm_sha256]}"
    return ""

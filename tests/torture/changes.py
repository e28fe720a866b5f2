"""Every kind of change: how it is made, and what must be there afterwards.

A change is a tuple of its kind and what it is about, so that it can be sent through a pipe before
it is made and once more when it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from torture.voices import CLIPS_OF_A_VOICE, clip_of, new_clips, utterance
from voiceid import VoiceID
from voiceid.domain import SpeakerDetails

Change = tuple[Any, ...]


@dataclass(frozen=True)
class Known:
    """All that must be known of a speaker: the clips, and the metadata."""

    clips: frozenset[int]
    marks: dict[str, str] = field(default_factory=dict)


Gallery = dict[str, Known]


def make(vid: VoiceID, change: Change) -> None:  # noqa: C901 - a case for each kind
    """Make a change as any program would; it is acknowledged when this returns."""
    match change:
        case "enroll", name, clips:
            vid.enroll(name, [utterance(one, vid.models.space) for one in clips], force=True)
        case "replace", name, clips:
            heard = [utterance(one, vid.models.space) for one in clips]
            vid.enroll(name, heard, mode="replace", force=True)
        case "remove", name:
            vid.speakers.remove(name)
        case "rename", name, new_name:
            vid.speakers.rename(name, new_name)
        case "merge", into, other:
            vid.speakers.merge(into, other, force=True)
        case "split", name, new_name, clips:
            vid.speakers.split(name, new_name, _ids(vid, name, clips))
        case "drop", name, clips:
            vid.samples.remove(name, _ids(vid, name, clips))
        case "mark", name, key, value:
            vid.speakers.edit(name, SpeakerDetails(metadata={key: value}))
        case "export", file, names:
            vid.speakers.export(file, names, plain=True)
        case "import", file, _:
            vid.speakers.import_file(file, append=True, trust=True)
        case ("rebuild",):
            vid.index.rebuild()
        case _:
            raise ValueError(change)


def after(gallery: Gallery, change: Change) -> Gallery:
    """Return what must be in a gallery when a change was made."""
    now = dict(gallery)
    match change:
        case "enroll", name, clips:
            before = now.get(name, Known(frozenset()))
            now[name] = replace(before, clips=before.clips | set(clips))
        case "replace", name, clips:
            now[name] = replace(now[name], clips=frozenset(clips))
        case "remove", name:
            del now[name]
        case "rename", name, new_name:
            now[new_name] = now.pop(name)
        case "merge", into, other:
            a, b = now[into], now.pop(other)
            now[into] = Known(a.clips | b.clips, {**b.marks, **a.marks})
        case "split", name, new_name, clips:
            now[name] = replace(now[name], clips=now[name].clips - set(clips))
            now[new_name] = Known(frozenset(clips))
        case "drop", name, clips:
            now[name] = replace(now[name], clips=now[name].clips - set(clips))
        case "mark", name, key, value:
            now[name] = replace(now[name], marks={**now[name].marks, key: value})
        case "import", _, people:
            now |= {name: Known(frozenset(clips), marks) for name, clips, marks in people}
    return now


def next_changes(
    rng: np.random.Generator, mine: Gallery, prefix: str, shared: list[str], folder: Path
) -> Iterator[Change]:
    """Yield what is to be done next to the speakers of one worker, or to those of all."""
    names, number = sorted(mine), int(rng.integers(1 << 40))
    new = f"{prefix}{number}"
    some = [str(name) for name in rng.permutation(names)[:2]]
    many = [name for name in names if len(mine[name].clips) > 1]
    kind = rng.choice(_KINDS, p=_WEIGHTS)
    if kind == "shared":
        name = str(rng.choice(shared))
        yield ("enroll", name, new_clips(rng, 1, number))
        yield ("mark", name, prefix.strip(), str(number))
    elif kind == "rebuild":
        yield ("rebuild",)
    elif kind in {"merge", "exchange"} and len(some) > 1:
        if kind == "merge":
            yield ("merge", *some)
            return
        file = folder / f"{number}.jsonl"
        yield ("export", file, some)
        yield from (("remove", name) for name in some)
        yield (
            "import",
            file,
            [(name, sorted(mine[name].clips), mine[name].marks) for name in some],
        )
    elif kind in {"split", "drop"} and many:
        name = str(rng.choice(many))
        half = sorted(mine[name].clips)[: len(mine[name].clips) // 2]
        yield ("split", name, new, half) if kind == "split" else ("drop", name, half)
    elif kind in {"append", "replace", "remove", "rename", "mark"} and names:
        taken = frozenset().union(*(one.clips for one in mine.values()))
        yield _about(kind, some[0], mine[some[0]], taken, rng)
    else:
        yield ("enroll", new, new_clips(rng, int(rng.integers(1, 4))))


_SHARES = {
    "new": 5, "append": 3, "replace": 1, "remove": 2, "rename": 2, "mark": 2, "merge": 2,
    "split": 2, "drop": 1, "exchange": 1, "rebuild": 2, "shared": 4,
}  # fmt: skip
_KINDS = list(_SHARES)
_WEIGHTS = [share / sum(_SHARES.values()) for share in _SHARES.values()]


def _about(
    kind: str, name: str, known: Known, taken: frozenset[int], rng: np.random.Generator
) -> Change:
    new_name = f"{name.split(maxsplit=1)[0]} {int(rng.integers(1 << 40))}"
    if kind == "remove":
        return ("remove", name)
    if kind == "rename":
        return ("rename", name, new_name)
    if kind == "mark":
        return ("mark", name, "badge", new_name)
    voice = min(known.clips) // CLIPS_OF_A_VOICE
    # A clip that was split off to somebody else is theirs: it would be refused, rightly.
    fresh = [clip for clip in new_clips(rng, 2, voice) if clip not in taken]
    return ("enroll" if kind == "append" else "replace", name, fresh or new_clips(rng, 1))


def _ids(vid: VoiceID, name: str, clips: list[int]) -> list[int]:
    return [one.id for one in vid.samples.list(name) if clip_of(one.pcm_sha256) in set(clips)]

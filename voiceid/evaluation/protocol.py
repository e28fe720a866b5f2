"""The comparisons of an evaluation: trial lists, enrolment maps, manifests.

Three forms are read, all of them text, with paths relative to the file's folder:

- trials, as of VoxCeleb: ``1 a.wav b.wav`` (1: one speaker, 0: two);
- models with trials, as of Kaldi: a map ``model path...`` and trials ``model path target``
  (or ``nontarget``);
- a list of recordings, also one to enrol: see `voiceid.listing`.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from voiceid.domain import speaker_key
from voiceid.errors import SpeakerNameInvalid, TrialsInvalid
from voiceid.evaluation.bounds import Bools, Indices
from voiceid.listing import Problems, labelled_rows, lines_in, open_text, text_in

_SEXES = {"": "", "f": "F", "female": "F", "m": "M", "male": "M"}
_NO_SPECIES = frozenset({"-", "bona fide", "bona-fide", "bonafide", "genuine", "all species"})
"""The names of bona fide speech in corpora, and of all attacks in a report."""
_TARGET = {"1": True, "target": True, "0": False, "nontarget": False}


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of an evaluation.

    Parameters
    ----------
    path : str or binary file object
        Where it is read from.
    name : str
        As the list names it.
    speaker : str
        The person who speaks.
    session, condition : str
        Empty if not given.
    sex : str
        Of the speaker: ``F`` or ``M``; empty if not given.
    attack : str
        The species of an attack on the speaker, e.g. ``espeak-ng``; empty: bona fide.
    """

    path: str | BinaryIO
    name: str
    speaker: str
    session: str = ""
    condition: str = ""
    sex: str = ""
    attack: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that probes are compared with: a speaker's centroid of one recording or more.

    ``recordings`` are indices into those of the protocol.
    """

    name: str
    speaker: str
    recordings: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Protocol:
    """Recordings, models made of some of them, and the trials of models against recordings.

    Parameters
    ----------
    recordings : tuple of Recording
        Each once.
    trials : (n, 2) int64
        Numbers of a model and of a recording: the probe.
    target : (n,) bool
        Whether both are of one speaker.
    gallery : bool
        Whether the models are a gallery, and every probe is compared with all of them: only then is
        identification defined.
    description : str
        The comparisons, in words.
    source : str
        The file or folder of the recordings, for the report.
    attacks : (k, 2) int64
        As `trials`: of the models of a speaker, and of the attacks on the speaker.
    """

    recordings: tuple[Recording, ...]
    models: tuple[Model, ...]
    trials: Indices
    target: Bools
    gallery: bool
    description: str = "the comparisons are given"
    source: str = ""
    attacks: Indices = field(default_factory=lambda: np.empty((0, 2), np.int64))

    @property
    def n_speakers(self) -> int:
        """The number of speakers in the recordings."""
        return len({recording.speaker for recording in self.recordings})

    @property
    def of_pairs(self) -> bool:
        """Whether two recordings are compared in each trial, so that either may be the probe."""
        return not self.gallery and all(len(model.recordings) == 1 for model in self.models)


def read_trials(path: Path) -> Protocol:
    """Read ``1 a.wav b.wav`` lines: every recording is a model of its own.

    The trials define the speakers: recordings that target trials connect are of one speaker.

    Raises `TrialsInvalid`: it cannot be read, a line is malformed, or the lines contradict each
    other.
    """
    rows, problems = array("q"), Problems()  # line, label and two names of each trial
    number_of: dict[str, int] = {}
    for number, words in _words(path):
        label = _TARGET.get(words[0]) if len(words) == 3 else None  # noqa: PLR2004 - label, two paths
        if label is None:
            problems.append(f"line {number}: not `1 PATH PATH` or `0 PATH PATH`")
        else:
            pair = (number_of.setdefault(name, len(number_of)) for name in words[1:])
            rows.extend((number, label, *pair))
    _refuse(path, problems, has_rows=bool(rows))
    names, table = list(number_of), np.frombuffer(rows, dtype=np.int64).reshape(-1, 4)
    trials, target = table[:, 2:].copy(), table[:, 1].astype(bool)
    speaker = _connected(len(names), trials[target])
    clashes = np.flatnonzero(~target & (speaker[trials[:, 0]] == speaker[trials[:, 1]]))
    said = (f"line {table[i, 0]}: two speakers, but other lines say one" for i in clashes)
    _refuse(path, Problems(said))
    recordings = tuple(
        Recording(str(path.parent / name), name, f"speaker {number}")
        for name, number in zip(names, speaker.tolist(), strict=True)
    )
    models = tuple(Model(r.name, r.speaker, (i,)) for i, r in enumerate(recordings))
    how = "the pairs of the list are compared"
    return Protocol(recordings, models, trials, target, gallery=False, description=how)


def read_models(path: Path, enrolled: Path) -> Protocol:
    """Read ``model path target`` lines, with a map of ``model path...`` lines.

    Probes that a target trial connects with a model are of its speaker; a probe without one
    is of a speaker of its own.
    """
    paths = _model_paths(enrolled)
    rows: list[tuple[int, bool, str, str]] = []
    problems = Problems()
    for number, words in _words(path):
        label = _TARGET.get(words[2]) if len(words) == 3 else None  # noqa: PLR2004 - as above
        if label is None:
            problems.append(f"line {number}: not `MODEL PATH target` or `MODEL PATH nontarget`")
        elif words[0] not in paths:
            problems.append(f"line {number}: {enrolled.name} has no model {words[0]}")
        else:
            rows.append((number, label, sys.intern(words[0]), sys.intern(words[1])))
    _refuse(path, problems, has_rows=bool(rows))
    speaker_of: dict[str, str] = {}
    for number, label, model, probe in rows:
        if label and speaker_of.setdefault(probe, model) != model:
            problems.append(f"line {number}: {probe} is a target of two models")
    _refuse(path, problems)
    enrolled_at = {str(enrolled.parent / p): m for m, own in paths.items() for p in own}
    recordings = [Recording(where, Path(where).name, m) for where, m in enrolled_at.items()]
    at = {recording.path: i for i, recording in enumerate(recordings)}
    models = tuple(
        Model(m, m, tuple(at[str(enrolled.parent / p)] for p in own)) for m, own in paths.items()
    )
    for probe in dict.fromkeys(probe for *_, probe in rows):
        where = str(path.parent / probe)
        if where not in at:
            at[where] = len(recordings)
            recordings.append(Recording(where, probe, speaker_of.get(probe, probe)))
    number_of = {model.name: i for i, model in enumerate(models)}
    trials = np.array(
        [[number_of[m], at[str(path.parent / p)]] for _, _, m, p in rows], dtype=np.int64
    )
    target = np.array([label for _, label, *_ in rows], dtype=bool)
    n_probes = len(np.unique(trials[:, 1]))
    whole = len(np.unique(trials, axis=0)) == len(models) * n_probes
    how = "the models and recordings of the list are compared"
    return Protocol(tuple(recordings), models, trials, target, gallery=whole, description=how)


def read_manifest(path: Path, content: str | None = None) -> tuple[Recording, ...]:
    """Read a list of recordings: see `voiceid.listing`; without a condition the label is one.

    The file is read unless its ``content`` is given.
    """
    recordings: dict[str, Recording] = {}
    spelled: dict[str, str] = {}
    problems = Problems()
    try:
        for number, row in labelled_rows(path, problems, content):
            try:
                recording = _recording(row, path.parent, spelled)
            except (ValueError, SpeakerNameInvalid) as error:
                problems.append(f"line {number}: {error}")
                continue
            if str(recording.path) in recordings:
                problems.append(f"line {number}: {recording.name} occurs twice")
            recordings[str(recording.path)] = recording
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    _refuse(path, problems, has_rows=bool(recordings))
    return tuple(recordings.values())


def _connected(n: int, pairs: Indices) -> Indices:
    """Return (n,) component numbers of n things of which some are connected in pairs."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]  # shortens the next search
            i = parent[i]
        return i

    for a, b in pairs.tolist():
        parent[root(a)] = root(b)
    _, numbers = np.unique([root(i) for i in range(n)], return_inverse=True)
    return numbers.astype(np.int64)


def _recording(row: Mapping[str, Any], folder: Path, spelled: dict[str, str]) -> Recording:
    """Return the recording of a line; ``Alice`` and ``alice`` are one speaker."""
    name, path = text_in(row, "name"), text_in(row, "path")
    speaker = spelled.setdefault(speaker_key(name), name)
    condition = text_in(row, "condition") or text_in(row, "label")
    sex = _SEXES.get(text_in(row, "sex").casefold())
    if sex is None:
        raise ValueError(f"sex is {text_in(row, 'sex')!r}, but must be F, M or empty")
    if (attack := text_in(row, "attack")).casefold() in _NO_SPECIES:
        raise ValueError(f"attack is {attack!r}, but must be a species, or empty for bona fide")
    facts = text_in(row, "session"), condition, sex, attack
    return Recording(str(folder / path), path, speaker, *facts)


def _model_paths(path: Path) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {}
    problems = Problems()
    for number, words in _words(path):
        if len(words) < 2:  # noqa: PLR2004 - a model and a path
            problems.append(f"line {number}: not `MODEL PATH...`")
        paths.setdefault(words[0], []).extend(words[1:])
    _refuse(path, problems, has_rows=bool(paths))
    return paths


def _words(path: Path) -> Iterable[tuple[int, list[str]]]:
    try:
        with open_text(path) as text:
            for number, line in enumerate(lines_in(text), start=1):
                if words := line.split():
                    yield number, words
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> TrialsInvalid:
    why = getattr(error, "strerror", None) or error
    hint = "Give a folder with a folder for each speaker, or a list in a text file."
    return TrialsInvalid(f"{path} cannot be read: {why}", hint=hint)


def _refuse(path: Path, problems: Problems, *, has_rows: bool = True) -> None:
    if problems:
        raise TrialsInvalid(
            f"{path} is malformed; nothing was evaluated:\n  {problems}",
            hint="docs/evaluating.md shows the forms that are read.",
        )
    if not has_rows:
        problem = f"{path} is empty, or has no lines after its header"
        raise TrialsInvalid(problem, hint="docs/evaluating.md shows the forms that are read.")

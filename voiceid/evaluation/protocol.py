"""Which comparisons an evaluation makes: trial lists, enrolment maps, manifests.

Three forms are read, all of them text in UTF-8, with paths relative to the file's folder:

- trials, as of VoxCeleb: ``1 a.wav b.wav`` (1: one speaker, 0: two);
- models with trials, as of Kaldi: a map ``model path...`` and trials ``model path target``
  (or ``nontarget``);
- a manifest: CSV with a header, or JSON Lines, of ``speaker``, ``path`` and, where known,
  ``session`` and ``condition``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.errors import TrialsInvalid
from voiceid.listing import Row, rows_of, shortened

Indices: TypeAlias = npt.NDArray[np.int64]

_SIZES = (1, 2, 3)
"""Recordings that are enrolled in turn."""
_MOST_TRIALS = 2_000_000
"""So many are fitted in half a minute; more tell no more of the same speakers."""
_TARGET = {"1": True, "target": True, "0": False, "nontarget": False}


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of an evaluation.

    Parameters
    ----------
    path : str
        Where it is.
    name : str
        As the list names it.
    speaker : str
        Whose voice it is.
    session, condition : str
        Empty when they were not given.
    """

    path: str
    name: str
    speaker: str
    session: str = ""
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """What probes are compared with: a speaker's centroid of one recording or more.

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
    models : tuple of Model
    trials : (n, 2) int64
        Numbers of a model and of a recording: the probe.
    target : (n,) bool
        Whether both are of one speaker.
    gallery : bool
        Whether the models are a gallery, against all of which every probe is asked: only
        then does identification mean anything.
    """

    recordings: tuple[Recording, ...]
    models: tuple[Model, ...]
    trials: Indices
    target: npt.NDArray[np.bool_]
    gallery: bool

    @property
    def n_speakers(self) -> int:
        """Whose voices are in the recordings, counted."""
        return len({one.speaker for one in self.recordings})

    @property
    def of_pairs(self) -> bool:
        """Whether two recordings are compared in each trial, so that either may be the probe."""
        return not self.gallery and all(len(model.recordings) == 1 for model in self.models)


def read_trials(path: Path) -> Protocol:
    """Read ``1 a.wav b.wav`` lines: every recording is a model of its own.

    Who speaks is told by the trials: recordings that target trials connect are one speaker.

    Raises
    ------
    TrialsInvalid
        It cannot be read, a line is malformed, or the lines contradict each other.
    """
    rows, problems = [], []
    for number, words in _words(path):
        label = _TARGET.get(words[0]) if len(words) == 3 else None  # noqa: PLR2004 - label, two paths
        if label is None:
            problems.append(f"line {number}: not `1 PATH PATH` or `0 PATH PATH`")
        else:
            rows.append((number, label, words[1], words[2]))
    _refuse(path, problems, found=bool(rows))
    names = list(dict.fromkeys(name for _, _, *pair in rows for name in pair))
    number_of = {name: i for i, name in enumerate(names)}
    trials = np.array([[number_of[a], number_of[b]] for _, _, a, b in rows], dtype=np.int64)
    target = np.array([label for _, label, _, _ in rows], dtype=bool)
    speaker = _connected(len(names), trials[target])
    clashes = np.flatnonzero(~target & (speaker[trials[:, 0]] == speaker[trials[:, 1]]))
    _refuse(path, [f"line {rows[i][0]}: two speakers, and others say one" for i in clashes])
    recordings = tuple(
        Recording(str(path.parent / name), name, f"speaker {number}")
        for name, number in zip(names, speaker.tolist(), strict=True)
    )
    models = tuple(Model(r.name, r.speaker, (i,)) for i, r in enumerate(recordings))
    return Protocol(recordings, models, trials, target, gallery=False)


def read_models(path: Path, enrolled: Path) -> Protocol:
    """Read ``model path target`` lines, with a map of ``model path...`` lines.

    Probes that a target trial connects with a model are of its speaker; a probe without one
    is of a speaker of its own.

    Raises
    ------
    TrialsInvalid
    """
    paths = _model_paths(enrolled)
    rows, problems = [], []
    for number, words in _words(path):
        label = _TARGET.get(words[2]) if len(words) == 3 else None  # noqa: PLR2004 - as above
        if label is None:
            problems.append(f"line {number}: not `MODEL PATH target` or `MODEL PATH nontarget`")
        elif words[0] not in paths:
            problems.append(f"line {number}: {enrolled.name} has no model {words[0]}")
        else:
            rows.append((number, label, words[0], words[1]))
    _refuse(path, problems, found=bool(rows))
    speaker_of: dict[str, str] = {}
    for number, label, model, probe in rows:
        if label and speaker_of.setdefault(probe, model) != model:
            problems.append(f"line {number}: {probe} is a target of two models")
    _refuse(path, problems)
    enrolled_at = {str(enrolled.parent / p): m for m, found in paths.items() for p in found}
    recordings = [Recording(where, Path(where).name, m) for where, m in enrolled_at.items()]
    at = {one.path: i for i, one in enumerate(recordings)}
    models = tuple(
        Model(m, m, tuple(at[str(enrolled.parent / p)] for p in found))
        for m, found in paths.items()
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
    return Protocol(tuple(recordings), models, trials, target, gallery=whole)


def read_manifest(path: Path) -> tuple[Recording, ...]:
    """Read a manifest of ``speaker``, ``path`` and, where known, ``session``, ``condition``.

    Raises
    ------
    TrialsInvalid
    """
    recordings: dict[str, Recording] = {}
    problems = []
    for number, row in _rows(path):
        try:
            one = _recording(row, path.parent)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        if one.path in recordings:
            problems.append(f"line {number}: {one.name} comes twice")
        recordings[one.path] = one
    _refuse(path, problems, found=bool(recordings))
    return tuple(recordings.values())


def all_pairs(recordings: Sequence[Recording]) -> Protocol:
    """Compare every recording with every other, but for those of one speaker and session.

    Raises
    ------
    TrialsInvalid
        There is no pair of one speaker, or none of two.
    """
    models = tuple(Model(r.name, r.speaker, (i,)) for i, r in enumerate(recordings))
    first, second = np.triu_indices(len(recordings), k=1)
    speaker, session = _numbers(recordings)
    target = speaker[first] == speaker[second]
    valid = ~(target & (session[first] == session[second]) & (session[first] >= 0))
    trials = np.stack([first[valid], second[valid]], axis=1).astype(np.int64)
    return _checked(Protocol(tuple(recordings), models, trials, target[valid], gallery=False))


def enroll_first(recordings: Sequence[Recording], n: int) -> Protocol:
    """Enrol the first ``n`` recordings of each speaker, and ask all models about the others.

    Where sessions are given, a probe is never of a session that its speaker was enrolled
    with.  Speakers without a recording beyond ``n`` only answer as models; those with fewer
    than ``n`` are not enrolled, and their recordings are probes of strangers.

    Raises
    ------
    TrialsInvalid
        Nobody has enough recordings, or no probe is left.
    """
    by_speaker: dict[str, list[int]] = {}
    for i, one in enumerate(recordings):
        by_speaker.setdefault(one.speaker, []).append(i)
    models, probes = [], []
    for speaker, mine in by_speaker.items():
        if len(mine) < n:
            probes += mine
            continue
        models.append(Model(speaker, speaker, tuple(mine[:n])))
        used = {recordings[i].session for i in mine[:n]} - {""}
        probes += [i for i in mine[n:] if recordings[i].session not in used]
    if not models or not probes:
        raise TrialsInvalid(
            f"with {n} recordings to enrol there are {len(models)} models and {len(probes)} probes",
            hint="Enrol fewer, or add recordings.",
        )
    pairs = np.array([(m, p) for m in range(len(models)) for p in sorted(probes)], dtype=np.int64)
    target = np.array(
        [models[m].speaker == recordings[p].speaker for m, p in pairs.tolist()], dtype=bool
    )
    return _checked(Protocol(tuple(recordings), tuple(models), pairs, target, gallery=True))


def enroll_in_turn(recordings: Sequence[Recording]) -> Protocol:
    """Enrol one, two and three recordings of each speaker, in turn, and ask about all others.

    So a calibration hears how scores depend on how much is enrolled.  Where sessions are
    given, a probe is never of a session that its speaker was enrolled with.  Of very many
    recordings only some are enrolled, spread evenly.

    Raises
    ------
    TrialsInvalid
        There is no trial of one speaker, or none of two.
    """
    speaker, session = _numbers(recordings)
    models = _in_turn(recordings)
    trials = np.stack(
        [grid.ravel() for grid in np.indices((len(models), len(recordings)))], axis=1
    ).astype(np.int64)
    of_model = np.array([speaker[model.recordings[0]] for model in models])
    target = of_model[trials[:, 0]] == speaker[trials[:, 1]]
    used = np.zeros((len(models), len(recordings)), dtype=bool)
    for m, model in enumerate(models):
        rows = list(model.recordings)
        used[m, rows] = True
        used[m, np.isin(session, session[rows]) & (session >= 0)] = True
    valid = ~(target & used[trials[:, 0], trials[:, 1]])
    protocol = Protocol(
        tuple(recordings), tuple(models), trials[valid], target[valid], gallery=False
    )
    return _checked(protocol)


def _in_turn(recordings: Sequence[Recording]) -> list[Model]:
    """Return models of one, two and three recordings, from every n-th recording on."""
    by_speaker: dict[str, list[int]] = {}
    for i, one in enumerate(recordings):
        by_speaker.setdefault(one.speaker, []).append(i)
    step = -(-len(_SIZES) * len(recordings) ** 2 // _MOST_TRIALS)
    return [
        Model(f"{name} {size}/{i}", name, tuple(mine[(i + k) % len(mine)] for k in range(size)))
        for name, mine in by_speaker.items()
        for size in _SIZES
        if size <= len(mine)
        for i in range(0, len(mine), step)
    ]


def _checked(protocol: Protocol) -> Protocol:
    n_target = int(protocol.target.sum())
    if n_target == 0 or n_target == len(protocol.target):
        raise TrialsInvalid(
            f"{n_target} trials of one speaker and {len(protocol.target) - n_target} of two:"
            " both are needed",
            hint="Add recordings: two of one speaker (of two sessions, where sessions are"
            " given), and another speaker's.",
        )
    return protocol


def _numbers(recordings: Sequence[Recording]) -> tuple[Indices, Indices]:
    """Return the number of each recording's speaker, and of the session, -1 for none."""
    speakers = {name: i for i, name in enumerate(dict.fromkeys(r.speaker for r in recordings))}
    sessions = {name: i for i, name in enumerate(dict.fromkeys(r.session for r in recordings))}
    sessions[""] = -1
    return (
        np.array([speakers[r.speaker] for r in recordings], dtype=np.int64),
        np.array([sessions[r.session] for r in recordings], dtype=np.int64),
    )


def _connected(n: int, pairs: Indices) -> Indices:
    """Return (n,) component numbers of n things of which some are connected in pairs."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]  # shortens the way for the next
            i = parent[i]
        return i

    for a, b in pairs.tolist():
        parent[root(a)] = root(b)
    _, numbers = np.unique([root(i) for i in range(n)], return_inverse=True)
    return numbers.astype(np.int64)


def _recording(row: Row, folder: Path) -> Recording:
    if isinstance(row, str):
        raise ValueError(row)  # noqa: TRY004 - it is the line that is wrong, not a type
    known = {"speaker", "path", "session", "condition"}
    if unknown := sorted(row.keys() - known):
        raise ValueError(f"unknown column {', '.join(map(repr, unknown))}")
    texts = {key: _text(row, key) for key in known}
    if missing := [key for key in ("speaker", "path") if not texts[key]]:
        raise ValueError(f"no {' and no '.join(missing)}")
    path = str(folder / texts["path"])
    return Recording(path, texts["path"], texts["speaker"], texts["session"], texts["condition"])


def _text(row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise ValueError(f"{key} is not a text")  # noqa: TRY004 - as above
    return str(value).strip()


def _model_paths(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    problems = []
    for number, words in _words(path):
        if len(words) < 2:  # noqa: PLR2004 - a model and a path
            problems.append(f"line {number}: not `MODEL PATH...`")
        found.setdefault(words[0], []).extend(words[1:])
    _refuse(path, problems, found=bool(found))
    return found


def _words(path: Path) -> Iterable[tuple[int, list[str]]]:
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if words := line.split():
            yield number, words


def _rows(path: Path) -> Iterable[tuple[int, Row]]:
    return rows_of(path, _read(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TrialsInvalid(
            f"{path} cannot be read: {error}", hint="It must be a text file in UTF-8."
        ) from error


def _refuse(path: Path, problems: Sequence[str], *, found: bool = True) -> None:
    if problems:
        raise TrialsInvalid(
            f"{path} is malformed; nothing was evaluated:\n  {shortened(problems)}",
            hint="docs/evaluating.md shows the forms that are read.",
        )
    if not found:
        raise TrialsInvalid(f"{path} is empty", hint="docs/evaluating.md shows what it may hold.")

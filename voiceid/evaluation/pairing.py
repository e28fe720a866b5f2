"""The comparisons of the recordings of a manifest.

Attacks are never enrolled, and are in no trial of two people: each is compared with the models of
the speaker that it imitates.  Without a trial of one speaker, or of two, `TrialsInvalid` is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from voiceid.errors import TrialsInvalid
from voiceid.evaluation.bounds import Indices
from voiceid.evaluation.protocol import Model, Protocol, Recording

_SIZES = (1, 2, 3)
"""Recordings that are enrolled in turn."""
_MOST_TRIALS = 2_000_000
"""This many are fitted in half a minute; more of the same speakers add no information."""


def all_pairs(recordings: Sequence[Recording]) -> Protocol:
    """Compare every recording with every other, except those of one speaker and session."""
    recordings, attacks = _apart(recordings)
    models = tuple(Model(r.name, r.speaker, (i,)) for i, r in enumerate(recordings))
    first, second = np.triu_indices(len(recordings), k=1)
    speaker, session = _numbers(recordings)
    target = speaker[first] == speaker[second]
    valid = ~(target & (session[first] == session[second]) & (session[first] >= 0))
    trials = np.stack([first[valid], second[valid]], axis=1).astype(np.int64)
    words = "each is compared with every other"
    if any(recording.session for recording in recordings):
        words += ", except with those of the same speaker and session"
    protocol = Protocol(
        tuple(recordings), models, trials, target[valid], gallery=False, description=words
    )
    return _attacked(_checked(protocol), attacks)


def enroll_first(recordings: Sequence[Recording], n: int) -> Protocol:
    """Enrol the first ``n`` recordings of each speaker, and compare all models with the others.

    Where sessions are given, a probe is never of a session that its speaker was enrolled
    with.  Speakers without a recording beyond ``n`` are only models; those with fewer than
    ``n`` are not enrolled, and their recordings are probes of strangers.
    """
    recordings, attacks = _apart(recordings)
    models, probes = [], []
    for speaker, own in _by_speaker(recordings).items():
        if len(own) < n:
            probes += own
            continue
        models.append(Model(speaker, speaker, tuple(own[:n])))
        used = {recordings[i].session for i in own[:n]} - {""}
        probes += [i for i in own[n:] if recordings[i].session not in used]
    if not models or not probes:
        raise TrialsInvalid(
            f"with {n} recordings to enrol there are {len(models)} models and {len(probes)} probes",
            hint="Enrol fewer, or add recordings.",
        )
    pairs = np.array([(m, p) for m in range(len(models)) for p in sorted(probes)], dtype=np.int64)
    target = np.array(
        [models[m].speaker == recordings[p].speaker for m, p in pairs.tolist()], dtype=bool
    )
    first = "first recording" if n == 1 else f"first {n} recordings"
    words = (
        f"the {first} of each speaker enrolled, the others compared with all"
        f" {len(models)} enrolled speakers"
    )
    protocol = Protocol(
        tuple(recordings), tuple(models), pairs, target, gallery=True, description=words
    )
    return _attacked(_checked(protocol), attacks)


def enroll_in_turn(recordings: Sequence[Recording]) -> Protocol:
    """Enrol one, two and three recordings of each speaker, in turn, and compare with all others.

    So a calibration learns how scores depend on the enrolled speech.  Where sessions are
    given, a probe is never of a session that its speaker was enrolled with.  Of very many
    recordings only some are enrolled, spread evenly.  Attacks are left out.
    """
    recordings, _ = _apart(recordings)
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
        tuple(recordings),
        tuple(models),
        trials[valid],
        target[valid],
        gallery=False,
        description="one, two and three recordings of each speaker enrolled in turn",
    )
    return _checked(protocol)


def _apart(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Return the recordings that are bona fide, and the attacks."""
    bona_fide = [recording for recording in recordings if not recording.attack]
    return bona_fide, [recording for recording in recordings if recording.attack]


def _attacked(protocol: Protocol, attacks: Sequence[Recording]) -> Protocol:
    """Return a protocol of bona fide recordings, followed by the attacks on its speakers."""
    of_speaker: dict[str, list[int]] = {}
    for m, model in enumerate(protocol.models):
        of_speaker.setdefault(model.speaker, []).append(m)
    pairs = [
        (m, i)
        for i, attack in enumerate(attacks, start=len(protocol.recordings))
        for m in of_speaker.get(attack.speaker, ())
    ]
    return replace(
        protocol,
        recordings=(*protocol.recordings, *attacks),
        attacks=np.array(pairs, np.int64).reshape(-1, 2),
    )


def _in_turn(recordings: Sequence[Recording]) -> list[Model]:
    """Return models of one, two and three recordings, from every n-th recording on."""
    step = -(-len(_SIZES) * len(recordings) ** 2 // _MOST_TRIALS)
    return [
        Model(f"{name} {size}/{i}", name, tuple(own[(i + k) % len(own)] for k in range(size)))
        for name, own in _by_speaker(recordings).items()
        for size in _SIZES
        if size <= len(own)
        for i in range(0, len(own), step)
    ]


def _by_speaker(recordings: Sequence[Recording]) -> dict[str, list[int]]:
    by_speaker: dict[str, list[int]] = {}
    for i, recording in enumerate(recordings):
        by_speaker.setdefault(recording.speaker, []).append(i)
    return by_speaker


def _checked(protocol: Protocol) -> Protocol:
    n_target = int(protocol.target.sum())
    if n_target == 0 or n_target == len(protocol.target):
        raise TrialsInvalid(
            f"{n_target} trials of one speaker and {len(protocol.target) - n_target} of two:"
            " both are needed",
            hint="Add two recordings of one speaker (of two sessions, if sessions are given),"
            " and one of another speaker.",
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

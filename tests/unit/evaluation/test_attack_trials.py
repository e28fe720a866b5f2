"""Attacks in a protocol, and the threshold of a countermeasure that is fitted to some."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from voiceid.enrollment import read_manifest as read_people
from voiceid.errors import FitRefused, ManifestInvalid, TrialsInvalid
from voiceid.evaluation import pairing, protocol
from voiceid.evaluation.countermeasure_fit import CountermeasureFit
from voiceid.evaluation.protocol import Protocol, Recording

PEOPLE = """speaker,path,attack
alice,a1.wav,
alice,fake1.wav,espeak
alice,a2.wav,
bob,b1.wav,
bob,fake2.wav,replay
bob,b2.wav,
carol,fake3.wav,replay
"""


@pytest.fixture
def listed(tmp_path: Path) -> tuple[Recording, ...]:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return protocol.read_manifest(path)


def asked(made: Protocol) -> set[tuple[str, str]]:
    """Return who is asked about which attack."""
    names = made.attacks.tolist()
    return {(made.models[m].name, made.recordings[p].name) for m, p in names}


def test_an_attack_is_asked_about_whom_it_imitates_and_is_in_no_other_trial(
    listed: tuple[Recording, ...],
) -> None:
    for made in (pairing.all_pairs(listed), pairing.enroll_first(listed, 1)):
        enrolled = {made.recordings[i] for model in made.models for i in model.recordings}
        probes = {made.recordings[i] for i in made.trials[:, 1].tolist()}
        assert not any(recording.attack for recording in enrolled | probes)
        assert {made.recordings[i].attack for i in made.attacks[:, 1].tolist()} == {
            "espeak",
            "replay",
        }
    assert asked(pairing.enroll_first(listed, 1)) == {("alice", "fake1.wav"), ("bob", "fake2.wav")}
    pairs = asked(pairing.all_pairs(listed))
    assert pairs == {
        (f"{p}{n}.wav", f) for p, f in (("a", "fake1.wav"), ("b", "fake2.wav")) for n in "12"
    }
    in_turn = pairing.enroll_in_turn(listed)
    assert not any(recording.attack for recording in in_turn.recordings)


@pytest.mark.parametrize("word", ["-", "Bonafide", "all species"])
def test_what_says_that_it_is_no_attack_is_no_species(tmp_path: Path, word: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"speaker,path,attack\nalice,a1.wav,\nalice,a2.wav,{word}\n", encoding="utf-8")
    with pytest.raises(TrialsInvalid, match=f"line 3: attack is '{word}', but must be a species"):
        protocol.read_manifest(path)


def test_an_attack_is_not_enrolled(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    with pytest.raises(ManifestInvalid, match="line 3: it is an attack, espeak"):
        read_people(path)


def made_up(
    n_bona_fide: int, n_attacks: int, lead: float = 3.0
) -> tuple[list[Recording], np.ndarray]:
    rng = np.random.default_rng(n_bona_fide)
    recordings = [Recording(f"/{i}", f"{i}", f"speaker {i % 7}") for i in range(n_bona_fide)]
    recordings += [
        Recording(f"/x{i}", f"x{i}", f"speaker {i % 7}", attack="ab"[i % 2])
        for i in range(n_attacks)
    ]
    scores = rng.normal(0.0, 1.0, n_bona_fide + n_attacks)
    scores[:n_bona_fide] += lead
    return recordings, scores


@pytest.mark.parametrize(("n", "target"), [(60, 0.05), (70, 0.05), (301, 0.01), (30, 0.1)])
def test_the_threshold_is_the_highest_that_keeps_the_bpcer(n: int, target: float) -> None:
    recordings, scores = made_up(n, 40)
    fit = CountermeasureFit.of(recordings, scores, target, "attacks.csv")
    bona_fide, value = scores[:n], fit.threshold.value
    assert np.mean(bona_fide < value) <= target
    assert np.mean(bona_fide < np.nextafter(value, math.inf)) > target
    assert (fit.bpcer.errors, fit.bpcer.trials) == (int(np.sum(bona_fide < value)), n)
    for name, of in (("a", scores[n::2]), ("b", scores[n + 1 :: 2])):
        found = fit.apcer[name]
        assert (found.errors, found.trials) == (int(np.sum(of >= value)), len(of))
    assert (fit.threshold.bona_fide, fit.threshold.attacks) == (n, 40)


def test_what_could_not_be_heard_is_left_out() -> None:
    recordings, scores = made_up(70, 10)
    scores[[0, 75]] = math.nan
    fit = CountermeasureFit.of(recordings, scores, 0.05, "x")
    assert (fit.threshold.bona_fide, fit.threshold.attacks) == (69, 9)


@pytest.mark.parametrize(
    ("n", "attacks", "lead", "words"),
    [
        (59, 9, 3.0, "takes 60 bona fide clips"),
        (60, 0, 3.0, "and 0 attacks"),
        (60, 40, -3.0, "does not tell them apart"),
    ],
)
def test_what_cannot_be_fitted_is_refused(n: int, attacks: int, lead: float, words: str) -> None:
    with pytest.raises(FitRefused, match=words):
        CountermeasureFit.of(*made_up(n, attacks, lead), 0.05, "x")

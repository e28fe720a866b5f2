"""Diarization: the error on the AMI cuts, the names, the speed.

    python -m benchmarks.diarization [--hours H] [--skip-speed]

The diarization error rate has no collar, and overlapped speech counts: seconds of a person that no
voice has (missed), of a voice that no person has (false alarm), and of the wrong voice (confusion),
as a share of all seconds of all people.  Voices stand for people as is best for each recording.
Where ``pyannote.metrics`` is installed, it must agree.  Limits were chosen on the cuts ``trn*``.

For names, each recording is asked about with the people enrolled whom the *other* recordings have
alone for three seconds or more.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.optimize import linear_sum_assignment

from benchmarks.tables import markdown, percent
from examples.ami import FOLDER, Turn, clean_turns, labelled_turns, wav_of
from voiceid import EnrollmentRefused, LinkedVoices, VoiceID, VoiceTurn

HOME = Path(__file__).resolve().parents[1]
TICK_S = 0.001
ENROLLED_S = 3.0
OTHERS = "somebody else"


@dataclass(frozen=True, slots=True)
class Errors:
    """Seconds that were missed, falsely heard, given to the wrong voice; and all."""

    missed_s: float = 0.0
    false_s: float = 0.0
    confused_s: float = 0.0
    total_s: float = 0.0

    def __add__(self, other: Errors) -> Errors:
        return Errors(*(a + b for a, b in zip(self.seconds, other.seconds, strict=True)))

    @property
    def seconds(self) -> tuple[float, float, float, float]:
        """All of them."""
        return self.missed_s, self.false_s, self.confused_s, self.total_s

    @property
    def cells(self) -> list[str]:
        """The rate and its three parts, in percent."""
        parts = self.seconds[:3]
        return [percent(part / self.total_s) for part in (sum(parts), *parts)]


def grid(
    turns: Sequence[tuple[float, float, str]], n: int
) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Return the names, and in which ticks (names, n) each speaks."""
    names = sorted({name for _, _, name in turns})
    spoken = np.zeros((len(names), n), np.bool_)
    for start_s, end_s, name in turns:
        spoken[names.index(name), round(start_s / TICK_S) : round(end_s / TICK_S)] = True
    return names, spoken


def errors(
    people: Sequence[tuple[float, float, str]],
    voices: Sequence[tuple[float, float, str]],
    duration_s: float,
    *,
    by_name: bool = False,
) -> Errors:
    """Return the errors of voices against people, each (start, end, name).

    ``by_name``: a voice stands for the person of its name, and else for whom it fits best.
    """
    n = round(duration_s / TICK_S)
    (names, truth), (called, found) = grid(people, n), grid(voices, n)
    if by_name:
        right_s = sum(
            int((truth[names.index(name)] & found[called.index(name)]).sum())
            for name in set(names) & set(called)
        )
    else:
        common = truth.astype(np.float32) @ found.T.astype(np.float32)
        right_s = int(common[linear_sum_assignment(common, maximize=True)].sum())
    n_true, n_found = truth.sum(axis=0), found.sum(axis=0)
    ticks = (
        np.maximum(n_true - n_found, 0).sum(),
        np.maximum(n_found - n_true, 0).sum(),
        np.minimum(n_true, n_found).sum() - right_s,
        n_true.sum(),
    )
    return Errors(*(float(value) * TICK_S for value in ticks))


def labels(folder: Path = FOLDER) -> dict[str, list[tuple[float, float, str]]]:
    """Return who speaks when in each recording."""
    return {
        recording: [(turn.start_s, turn.end_s, turn.speaker) for turn in turns]
        for recording, turns in labelled_turns(folder).items()
    }


def plain(turns: Sequence[VoiceTurn]) -> list[tuple[float, float, str]]:
    """Return turns as (start, end, name)."""
    return [(turn.start_s, turn.end_s, turn.voice) for turn in turns]


def judged(
    people: Sequence[tuple[float, float, str]], voices: Sequence[tuple[float, float, str]]
) -> float | None:
    """Return the error rate that pyannote.metrics gives, None where it is not installed."""
    try:
        from pyannote.core import Annotation, Segment  # noqa: PLC0415
        from pyannote.metrics.diarization import DiarizationErrorRate  # noqa: PLC0415
    except ImportError:
        return None

    def annotation(turns: Sequence[tuple[float, float, str]]) -> object:
        made = Annotation()
        for number, (start_s, end_s, name) in enumerate(turns):
            made[Segment(start_s, end_s), number] = name
        return made

    return float(DiarizationErrorRate()(annotation(people), annotation(voices)))


def der_table(vid: VoiceID, truth: Mapping[str, list[tuple[float, float, str]]]) -> str:
    """Return the error rate on the cuts."""
    parts = {"trn, on which limits were chosen": Errors(), "dev and tst": Errors(), "all": Errors()}
    first, second, both = parts
    judge: list[tuple[float, float]] = []
    rows = []
    for recording, people in truth.items():
        found = vid.diarize(wav_of(recording), names=False)
        voices = plain(found.turns)
        made = errors(people, voices, found.duration_s)
        for name in (first if recording.startswith("trn") else second, both):
            parts[name] += made
        rate = judged(people, voices)
        if rate is not None:
            judge.append((rate, sum(made.seconds[:3]) / made.total_s))
        speakers = len({name for *_, name in people})
        rows.append([recording, speakers, len(found.voices), *made.cells])
    rows += [[name, "", "", *made.cells] for name, made in parts.items()]
    headers = ["recording", "people", "voices", "DER %", "missed", "false alarm", "confusion"]
    table = markdown("Diarization error on AMI cuts of 30 s", headers, rows)
    if judge:
        worst = max(abs(one - other) for one, other in judge)
        table += f"\npyannote.metrics differs by at most {percent(worst)} points.\n"
    return table


def meetings(truth: Mapping[str, Sequence[tuple[float, float, str]]]) -> list[list[str]]:
    """Return recordings that share people, each group in order."""
    groups: list[tuple[set[str], list[str]]] = []
    for recording, turns in truth.items():
        people, own = {name for *_, name in turns}, [recording]
        for others, group in [found for found in groups if found[0] & people]:
            groups.remove((others, group))
            people, own = people | others, [*group, *own]
        groups.append((people, sorted(own)))
    return sorted(group for _, group in groups)


def joined_table(
    vid: VoiceID, truth: Mapping[str, list[tuple[float, float, str]]], folder: Path
) -> str:
    """Return the error rate on cuts that share people, joined, and on all of them joined."""
    groups = [group for group in meetings(truth) if len(group) > 1]
    rows, total = [], Errors()
    for group in [*groups, list(truth)]:
        path, start_s = folder / "joined.wav", 0.0
        people: list[tuple[float, float, str]] = []
        with soundfile.SoundFile(path, "w", 16_000, 1) as file:
            for recording in group:
                samples = soundfile.read(wav_of(recording), dtype="float32")[0]
                file.write(samples)
                people += [(start_s + s, start_s + e, name) for s, e, name in truth[recording]]
                start_s += len(samples) / 16_000
        found = vid.diarize(path, names=False)
        made = errors(people, plain(found.turns), found.duration_s)
        n_people = len({name for *_, name in people})
        row = [f"{found.duration_s / 60:.1f} min", n_people, len(found.voices), *made.cells]
        rows.append(["all" if group == list(truth) else " ".join(group), *row])
        total += made if group != list(truth) else Errors()
    rows.append(["those that share people", "", "", "", *total.cells])
    headers = ["cuts", "length", "people", "voices", "DER %", "missed", "false alarm", "confusion"]
    return markdown("Diarization error on AMI cuts, joined", headers, rows)


def links_table(vid: VoiceID, truth: Mapping[str, list[tuple[float, float, str]]]) -> str:
    """Return how often an unknown voice is found again; a voice is whom most of it is of."""
    links = LinkedVoices()
    first: dict[str, str] = {}  # the person of each name
    known: set[str] = set()
    right = wrong = missed = new = 0
    for recording, people in truth.items():
        found = vid.diarize(wav_of(recording), names=links)
        n = round(found.duration_s / TICK_S)
        (names, spoken), (called, heard) = grid(people, n), grid(plain(found.turns), n)
        here: set[str] = set()
        for voice in found.voices:
            common = spoken.astype(np.float32) @ heard[called.index(voice.name)].astype(np.float32)
            person = names[int(common.argmax())]
            here.add(person)
            if voice.link is not None:
                right += first[voice.name] == person
                wrong += first[voice.name] != person
            else:
                missed += person in known
                new += person not in known
                first[voice.name] = person
        known |= here
    rows = [
        ["voices that were linked, of the same person", str(right)],
        ["voices that were linked, of another", str(wrong)],
        ["voices of a person who had been heard, not linked", str(missed)],
        ["voices of a person who had not been heard, not linked", str(new)],
    ]
    title = "Unknown voices in one recording after another (--link)"
    return markdown(title, ["what", "voices"], rows)


def enrolled_turns(recording: str) -> dict[str, list[Turn]]:
    """Return the turns alone of people in other recordings, of those with three seconds there."""
    turns: dict[str, list[Turn]] = {}
    for turn in clean_turns():
        if turn.recording != recording:
            turns.setdefault(turn.speaker, []).append(turn)
    return {
        name: own
        for name, own in turns.items()
        if sum(turn.duration_s for turn in own) >= ENROLLED_S
    }


def enroll(vid: VoiceID, left_out: str) -> None:
    """Enrol the people of all recordings but one, those who have enough speech for it."""
    for name, turns in enrolled_turns(left_out).items():
        with contextlib.suppress(EnrollmentRefused):
            vid.enroll(name, [turn.samples() for turn in turns], force=True)


def names_table(truth: Mapping[str, list[tuple[float, float, str]]]) -> str:
    """Return how often names are right, where people were enrolled from other recordings."""
    total, known_s, right_s, wrong_s, named_s, hours = Errors(), 0.0, 0.0, 0.0, 0.0, 0.0
    right = wrong = 0
    for recording, people in truth.items():
        with tempfile.TemporaryDirectory() as data, VoiceID.open(data, home=HOME) as vid:
            enroll(vid, recording)
            known = {speaker.name for speaker in vid.speakers.list()}
            found = vid.diarize(wav_of(recording))
        accepted = {voice.name for voice in found.voices if voice.speaker is not None}
        here = {name for *_, name in people}
        right += len(accepted & here)
        wrong += len(accepted - here)
        truly = [(s, e, name if name in known else OTHERS) for s, e, name in people]
        voices = [(s, e, v if v in accepted else OTHERS) for s, e, v in plain(found.turns)]
        total += errors(truly, voices, found.duration_s, by_name=True)
        hours += found.duration_s / 3600
        n = round(found.duration_s / TICK_S)
        (names, spoken), (called, heard) = grid(truly, n), grid(voices, n)
        for name in accepted:
            ticks = heard[called.index(name)]
            theirs = spoken[names.index(name)] if name in names else np.zeros(n, np.bool_)
            named_s += ticks.sum() * TICK_S
            right_s += (ticks & theirs).sum() * TICK_S
            wrong_s += (ticks & ~theirs & (spoken.sum(axis=0) > 0)).sum() * TICK_S
        known_s += sum(spoken[names.index(name)].sum() * TICK_S for name in known & here)
    rows = [
        ["recordings", str(len(truth))],
        ["speech of people who are enrolled", f"{known_s:.1f} s"],
        ["of it under their name", f"{right_s:.1f} s ({percent(right_s / known_s)} %)"],
        ["speech under a name", f"{named_s:.1f} s"],
        ["under the name of another, while somebody speaks", f"{wrong_s:.1f} s"],
        ["voices named right, and as somebody who is not there", f"{right}, {wrong}"],
        ["names of people who are not there, an hour", f"{wrong / hours:.1f}"],
        ["under a wrong name, an hour", f"{wrong_s / hours:.0f} s"],
        ["identification error, an hour", f"{sum(total.seconds[:3]) / hours:.0f} s"],
        ["identification error rate", f"{total.cells[0]} %"],
        ["of it missed, false alarm, confusion", ", ".join(total.cells[1:])],
    ]
    return markdown("Names, of people enrolled from other recordings", ["what", "value"], rows)


def joined(truth: Mapping[str, object], hours: float) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the cuts, over and over, for so long."""
    cuts = [soundfile.read(wav_of(recording), dtype="float32")[0] for recording in truth]
    left = round(hours * 3600 * 16_000)
    while left > 0:
        for cut in cuts:
            yield cut[:left]
            left -= min(left, len(cut))


def speed_table(truth: Mapping[str, object], lengths_h: Sequence[float]) -> str:
    """Return the speed on one thread with names, and the memory, by the length of a recording."""
    rows = []
    settings = {"runtime.workers": 1, "audio.max_bytes": 1 << 31}
    with (
        tempfile.TemporaryDirectory() as data,
        VoiceID.open(data, home=HOME, overrides=settings) as vid,
    ):
        enroll(vid, "")
        for hours in lengths_h:
            path = Path(data) / "long.wav"
            with soundfile.SoundFile(path, "w", 16_000, 1) as file:
                for samples in joined(truth, hours):
                    file.write(samples)
            started, cpu = time.perf_counter(), time.process_time()
            found = vid.diarize(path)
            took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rows.append(
                [
                    f"{found.duration_s / 60:.1f} min",
                    f"{found.duration_s / took_s:.0f}",
                    f"{found.duration_s / cpu_s:.0f}",
                    len(found.voices),
                    f"{peak:.0f} MB",
                ]
            )
    headers = ["length", "times real time", "by CPU time", "voices", "peak of the process"]
    return markdown("Speed on one thread, names included", headers, rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, nargs="*", default=[7 / 60, 0.5, 3.0])
    parser.add_argument("--skip-speed", action="store_true")
    options = parser.parse_args()
    truth = labels()
    if not options.skip_speed:  # first: the peak is of the process
        print(speed_table(truth, options.hours), flush=True)
    with tempfile.TemporaryDirectory() as data, VoiceID.open(data, home=HOME) as vid:
        print(der_table(vid, truth), flush=True)
        print(joined_table(vid, truth, Path(data)), flush=True)
        print(links_table(vid, truth), flush=True)
    print(names_table(truth), flush=True)


if __name__ == "__main__":
    main()

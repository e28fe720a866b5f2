"""Recordings that were heard before: what is known again, what is taken for it, and the time.

`python -m benchmarks.heard` prints the tables, or the one that `--only` names.  Of the corpora
every second speaker is here; on the others the method and its thresholds were chosen.  Clips are
5 s, heard as the product hears them.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr

from benchmarks.corpora import corpora_argument, test_other, train_clean
from benchmarks.tables import markdown, percent
from voiceid import VoiceID
from voiceid.evaluation.degradations import (
    CONDITIONS,
    HALL,
    OFFICE,
    Clip,
    Room,
    cut,
    noisy,
    reverberant,
)
from voiceid.metrics.rates import rate_upper_bound
from voiceid.speech.embedder import Embedder
from voiceid.speech.fingerprint import Fingerprint

CLIP_S = 5.0
ATTACKED_EVERY = 3
"""Of the clips of train-clean-100, one in this many is attacked."""
DIGIT_SPEAKERS = ("nicolas", "theo", "yweweler")
TAKES = 13
HEARD_CONDITIONS = (
    *("clean", "mp3 33 kbit/s", "opus 6 kbit/s", "opus 20 kbit/s", "GSM 13 kbit/s"),
    *("AMR 4.75 kbit/s", "AMR 12.2 kbit/s", "gain -30 dB", "clipped by 12 dB", "noise 10 dB"),
    *("noise 5 dB", "room 0.3 s", "room 0.8 s"),
)
OTHER_ROOMS = {
    "another room 0.6 s": Room((5.7, 3.5, 2.4), 0.905, 0.6),
    "another room 0.8 s": Room((6.6, 6.1, 3.0), 0.908, 0.8),
    "another room 0.9 s": Room((10.5, 5.5, 3.1), 0.898, 0.9),
}


def faster(clip: Clip, speed: float) -> Clip:
    """Return the clip played faster, pitch and all."""
    played = soxr.resample(clip.samples, clip.rate_hz, clip.rate_hz / speed)
    return replace(clip, samples=np.asarray(played, dtype=np.float32))


def half(clip: Clip) -> Clip:
    """Return the first half of the clip."""
    return replace(clip, samples=clip.samples[: len(clip.samples) // 2])


def backwards(clip: Clip) -> Clip:
    """Return the clip from its end to its beginning."""
    return replace(clip, samples=clip.samples[::-1].copy())


def in_another_order(clip: Clip, seconds: float) -> Clip:
    """Return pieces of the clip of so many seconds in another order."""
    n = round(seconds * clip.rate_hz)
    order = np.random.default_rng(0).permutation(range(0, len(clip.samples), n))
    pieces = [clip.samples[at : at + n] for at in order]
    return replace(clip, samples=np.concatenate(pieces))


def without_lows(clip: Clip) -> Clip:
    """Return the clip with nothing below 3 kHz, where fingerprints are made."""
    spectrum = np.fft.rfft(clip.samples)
    spectrum[np.fft.rfftfreq(len(clip.samples), 1 / clip.rate_hz) < 3000.0] = 0.0
    high = np.fft.irfft(spectrum, len(clip.samples))
    return replace(clip, samples=high.astype(np.float32))


def by_loudspeaker(clip: Clip, room: Room) -> Clip:
    """Return the clip through a small loudspeaker, a room, and a microphone at 20 dB.

    The loudspeaker has nothing under 350 Hz, a resonance, a dip, and is overdriven.
    """
    f_hz = np.fft.rfftfreq(len(clip.samples), 1 / clip.rate_hz)
    response = 1 / np.sqrt(1 + (350.0 / np.maximum(f_hz, 1.0)) ** 4)
    response /= np.sqrt(1 + (f_hz / 6500.0) ** 6)
    response *= 1 + np.exp(-(((f_hz - 900.0) / 200.0) ** 2))
    response *= 1 - 0.6 * np.exp(-(((f_hz - 2200.0) / 250.0) ** 2))
    played = np.fft.irfft(np.fft.rfft(clip.samples) * response, len(clip.samples))
    played = np.tanh(2.0 * played / np.abs(played).max()) / np.tanh(2.0)
    return noisy(reverberant(replace(clip, samples=played.astype(np.float32)), room), 20.0)


ATTACKS: Mapping[str, Callable[[Clip], Clip]] = {
    **{name: CONDITIONS[name] for name in HEARD_CONDITIONS if name in CONDITIONS},
    **{f"speed {speed:g}": partial(faster, speed=speed) for speed in (0.97, 0.99, 1.01, 1.03)},
    **{f"speed {speed:g}": partial(faster, speed=speed) for speed in (0.94, 1.06)},
    "half of it": half,
    "backwards": backwards,
    "1 s pieces of it in another order": partial(in_another_order, seconds=1.0),
    "0.5 s pieces of it in another order": partial(in_another_order, seconds=0.5),
    "0.3 s pieces of it in another order": partial(in_another_order, seconds=0.3),
    "nothing of it below 3 kHz": without_lows,
    "loudspeaker, room 0.3 s": partial(by_loudspeaker, room=OFFICE),
    "loudspeaker, room 0.8 s": partial(by_loudspeaker, room=HALL),
    **{name: partial(reverberant, room=room) for name, room in OTHER_ROOMS.items()},
    **{
        f"loudspeaker, {name}": partial(by_loudspeaker, room=room)
        for name, room in OTHER_ROOMS.items()
    },
}


def joined(clip: Clip, others: Sequence[Clip], seconds: float) -> Clip:
    """Return a piece of the clip between two others of 2 s."""
    before, after = (cut(other, 2.0).samples for other in others)
    piece = cut(clip, seconds).samples
    return replace(clip, samples=np.concatenate([before, piece, after]))


def fingerprint_of(embedder: Embedder, clip: Clip) -> Fingerprint | None:
    """Return what the product would compare of a clip."""
    speech = embedder.with_speech(clip.source).speech
    return None if speech is None else Fingerprint.of(speech)


def is_found(fingerprint: Fingerprint | None, kept: bytes) -> bool:
    """Whether a clip is known again."""
    return fingerprint is not None and fingerprint.finds([kept])[0]


def attack_table(embedder: Embedder, clips: Sequence[Clip]) -> str:
    """Return how often each attack is known again."""
    originals = [(clip, fingerprint_of(embedder, clip)) for clip in clips]
    known = [(clip, found.kept) for clip, found in originals if found is not None]
    rows = []
    for name, attack in ATTACKS.items():
        rows.append(_row(name, [_found(embedder, attack(clip), kept) for clip, kept in known]))
    for seconds in (1.0, 1.5, 2.0, 3.0):
        found = []
        for at, (clip, kept) in enumerate(known):
            others = [known[(at + further) % len(known)][0] for further in (1, 2)]
            found.append(_found(embedder, joined(clip, others, seconds), kept))
        rows.append(_row(f"{seconds:g} s of it between others", found))
    for seconds in (1.5, 2.0, 3.0):
        found = [_found(embedder, cut(clip, seconds), kept) for clip, kept in known]
        rows.append(_row(f"{seconds:g} s of it alone", found))
    title = "Known again: 5 s were heard before, and come again so"
    return markdown(title, ["attack", "clips", "known", "%", "at least, %"], rows)


def _found(embedder: Embedder, clip: Clip, kept: bytes) -> bool | None:
    """Return whether a clip is known again; None: it has too little speech for an answer."""
    fingerprint = fingerprint_of(embedder, clip)
    return None if fingerprint is None else is_found(fingerprint, kept)


def _row(name: str, found: Sequence[bool | None]) -> list[str]:
    answered = [one for one in found if one is not None]
    n, known = len(answered), sum(answered)
    least = 1.0 - rate_upper_bound(n - known, n)
    return [name, str(n), str(known), f"{100 * known / n:.1f}", f"{100 * least:.1f}"]


def false_table(embedder: Embedder, clips: Sequence[Clip], folder: Path) -> str:
    """Return how often different recordings are taken for one."""
    rows = []
    cuts = [cut(clip, CLIP_S, 0.3) for clip in clips]
    for name, some in (("whole utterances", clips), ("5 s of them", cuts)):
        rows.append(_false_row(name, [fingerprint_of(embedder, clip) for clip in some]))
    noise = [fingerprint_of(embedder, noisy(clip, 5.0)) for clip in cuts]
    rows.append(_false_row("5 s of them, noise 5 dB", noise))
    for name, codes in digit_codes(folder):
        each = [[fingerprint_of(embedder, clip) for clip in some] for some in codes]
        rows.append(_false_row(name, *each))
    title = "Different recordings that are taken for one"
    return markdown(title, ["recordings", "pairs", "taken", "%", "at most, %", "gain"], rows)


def _false_row(name: str, *groups: Sequence[Fingerprint | None]) -> list[str]:
    taken, n, highest = 0, 0, 0
    for group in groups:
        heard = [one for one in group if one is not None]
        kept = [one.kept for one in heard]
        for at, one in enumerate(heard):
            gains = np.array(one.gains(kept))
            gains = np.delete(gains, at)
            taken += int(np.delete(one.finds(kept), at).sum())
            n, highest = n + len(gains), max(highest, int(gains.max(initial=0)))
    bound = percent(rate_upper_bound(taken, n))
    return [name, str(n), str(taken), percent(taken / n), bound, str(highest)]


def digit_codes(folder: Path) -> Iterator[tuple[str, list[list[Clip]]]]:
    """Yield spoken codes of six digits: one code said thirteen times, and thirteen codes."""
    rng = np.random.default_rng(0)
    same, others = [], []
    for speaker in DIGIT_SPEAKERS:
        for _ in range(4):
            code = rng.integers(0, 10, 6).tolist()
            same.append([_code(folder, speaker, code, [take] * 6) for take in range(TAKES)])
            shuffled = [rng.integers(0, 10, 6).tolist() for _ in range(TAKES)]
            others.append([_code(folder, speaker, c, [t] * 6) for t, c in enumerate(shuffled)])
    yield "the same six digits by the same speaker, cut together", same
    yield "other six digits by the same speaker, cut together", others


def _code(folder: Path, speaker: str, code: Sequence[int], takes: Sequence[int]) -> Clip:
    parts = []
    for digit, take in zip(code, takes, strict=True):
        path = folder / "fsdd" / f"{digit}_{speaker}_{take}.wav"
        samples, rate_hz = soundfile.read(path, dtype="float32")
        parts.append(soxr.resample(samples, rate_hz, 16_000).astype(np.float32))
    return Clip(f"{speaker}-{takes[0]}", speaker, "", np.concatenate(parts), 16_000)


_INSERT = (
    "INSERT INTO fingerprints (speaker_id, heard_as, pcm_sha256, words, created_at, expires_at)"
    " VALUES (?, 'acceptance', '', ?, '2026-01-01T00:00:00+00:00', '2099-01-01T00:00:00+00:00')"
)


def time_table(fingerprint: Fingerprint) -> str:
    """Return how long a search takes, of a clip of 5 s, with all that it reads."""
    rng = np.random.default_rng(0)
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        VoiceID.open(folder, home=Path(__file__).resolve().parents[1]) as vid,
    ):
        store = vid._session.store  # noqa: SLF001 - the table is filled, and nothing else
        rows_of = {f"speaker {n}": 100 for n in range(1000)} | {"one": 1000, "all": 100_000}
        with store.write() as writer:
            ids = {name: writer.speakers.add(name).id for name in rows_of}
        with closing(sqlite3.connect(str(vid.database.location))) as connection:
            for name, n in rows_of.items():
                words = rng.integers(0, 1 << 32, (n, len(fingerprint.kept) // 4), np.uint32)
                rows_to_add = ((ids[name], row.tobytes()) for row in words)
                connection.executemany(_INSERT, rows_to_add)
            connection.commit()
        for what, name in (
            ("100,000 of 1,000 speakers, 100 of who is asked about", "speaker 500"),
            ("the same, 1,000 of who is asked about", "one"),
            ("the same, 100,000 of who is asked about", "all"),
        ):
            took = min(_search_s(store, ids[name], fingerprint) for _ in range(5))
            rows.append([what, f"{1e3 * took:.1f}"])
    return markdown("Time of a search, 5 s", ["kept", "ms of CPU, least of five"], rows)


def _search_s(store: object, speaker_id: int, fingerprint: Fingerprint) -> float:
    from voiceid.verification import replays  # noqa: PLC0415 - for this alone

    started = time.process_time()
    with store.read() as reader:  # type: ignore[attr-defined]
        assert replays.replay_in(reader, fingerprint, speaker_id) is None  # noqa: S101
    return time.process_time() - started


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora_argument(parser)
    parser.add_argument("--only", choices=["known", "different", "time"])
    options = parser.parse_args()
    others = test_other(options.corpora)
    speakers = sorted({clip.speaker for clip in others})[1::2]
    tested = [clip for clip in others if clip.speaker in speakers]
    clean = train_clean(options.corpora)[1::2]
    attacked = [cut(clip, CLIP_S, 0.3) for clip in tested + clean[::ATTACKED_EVERY]]
    with (
        tempfile.TemporaryDirectory() as folder,
        VoiceID.open(folder, home=Path(__file__).resolve().parents[1]) as vid,
    ):
        embedder = vid._session.loaded_model.embedder  # noqa: SLF001 - as the product hears
        fingerprint = fingerprint_of(embedder, attacked[0])
        if options.only in {None, "known"}:
            print(attack_table(embedder, attacked), flush=True)
        if options.only in {None, "different"}:
            print(false_table(embedder, tested + clean, options.corpora), flush=True)
        if options.only in {None, "time"} and fingerprint is not None:
            print(time_table(fingerprint), flush=True)


if __name__ == "__main__":
    main()

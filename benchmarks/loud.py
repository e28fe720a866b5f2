"""Speech in which Silero hears little, and sounds that are not speech: which get a vector.

    python -m benchmarks.loud [--corpora FOLDER] [--sounds FOLDER] [--acted FOLDER]

The limits of `voiceid.speech.second_opinion` were chosen on every second speaker, on the kinds that
are called so, and on more speakers and draws of these.  Speech: a clip of 2.5 to 9 s of speakers of
train-clean-100 and of AMI, changed by WORLD (pyworld), clipped, raised, in rooms.  ``--sounds``
takes recordings without speech, as of animals, tools and engines, in folders by kind, and
``--acted`` real acted speech in the same way.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

from benchmarks.copies import World, has_world
from benchmarks.corpora import ami_turns, corpora_argument, train_clean
from benchmarks.sounds import RATE_HZ, SOUNDS_CHOSEN_ON, SOUNDS_HELD_OUT, TIMES_S, Sound
from benchmarks.tables import markdown, percent
from benchmarks.trials import Floats
from benchmarks.voices import VAD_MODEL, model_store
from voiceid import metrics
from voiceid.audio.coding import resampled
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import HALL, OFFICE, Clip, narrowband, noisy, reverberant
from voiceid.models.providers import EngineOptions
from voiceid.speech.quality import FRAME_S
from voiceid.speech.second_opinion import SecondOpinion
from voiceid.speech.segmenter import Segmenter
from voiceid.speech.speaker_model import SECOND
from voiceid.speech.vad import LittleSpeech, SpeechDetector, SpeechOptions, open_detector

LEAST_S, LONGEST_S, LEAST_SPEECH_S = 2.5, 9.0, 2.2
ENOUGH_S = 1.0
SPEAKERS, SEEDS = 20, 3

Change = Callable[[Float32Array], Float32Array]


def driven(samples: Floats | Float32Array, over_db: float) -> Float32Array:
    """Return samples whose peak would be so far above full scale, clipped."""
    peak = max(float(np.abs(samples).max()), 1e-9)
    return np.clip(samples * (10 ** (over_db / 20) / peak), -1.0, 1.0).astype(np.float32)


def faster(samples: Float32Array, times: float) -> Float32Array:
    """Return samples with all frequencies so many times as high, and as much shorter."""
    return driven(scipy.signal.resample_poly(samples, 100, round(100 * times)), 18.0)


def shouted(
    samples: Float32Array,
    *,
    pitch: float = 2.0,
    formants: float = 1.15,
    tilt_db: float = 9.0,
    flat_hz: float = 0.0,
    breath: float = 0.0,
) -> Float32Array:
    """Return speech as if shouted, by WORLD.

    - `pitch`, `formants`: so many times as high.
    - `tilt_db`: what an octave above 500 Hz gains, up to 18 dB.
    - `flat_hz`: the pitch itself; 0: as it was.
    - `breath`: share of noise in the voice; 1 is a whisper.
    """
    world = World.of(samples).shifted(formants)
    voiced = world.f0_hz > 0
    pitches = np.where(voiced, flat_hz or world.f0_hz * pitch, 0.0)
    wobble = 1 + 0.02 * np.random.default_rng(0).standard_normal(len(pitches))
    hz = np.arange(world.envelope.shape[1]) * RATE_HZ / 2 / (world.envelope.shape[1] - 1)
    gain_db = np.clip(tilt_db * np.log2(np.maximum(hz, 500.0) / 500.0), 0.0, 18.0)
    made = replace(
        world,
        f0_hz=np.minimum(pitches * wobble, 780.0),
        envelope=world.envelope * 10 ** (gain_db / 10),
        aperiodicity=np.maximum(world.aperiodicity, breath),
    )
    return driven(made.samples(), 6.0)


def in_room(samples: Float32Array, room: str = "office") -> Float32Array:
    """Return samples in an office or a hall."""
    return reverberant(_clip(samples), OFFICE if room == "office" else HALL).samples


def megaphone(samples: Float32Array) -> Float32Array:
    """Return samples of 500 to 4000 Hz, clipped by 30 dB."""
    passed = scipy.signal.butter(4, (500, 4000), "bandpass", fs=RATE_HZ, output="sos")
    return driven(scipy.signal.sosfilt(passed, samples), 30.0)


def _clip(samples: Float32Array) -> Clip:
    return Clip("sound", "", "", samples.astype(np.float32), RATE_HZ)


def _chain(*changes: Change) -> Change:
    def whole(samples: Float32Array) -> Float32Array:
        for change in changes:
            samples = change(samples)
        return samples

    return whole


CHOSEN_ON: Mapping[str, Change] = {
    "clean": lambda samples: samples,
    "clipped by 20 dB": partial(driven, over_db=20.0),
    "clipped by 40 dB": partial(driven, over_db=40.0),
    "all frequencies 1.6 times as high": partial(faster, times=1.6),
    "all frequencies twice as high": partial(faster, times=2.0),
    "shouted": shouted,
    "shouted, in a hall": _chain(shouted, partial(in_room, room="hall")),
    "whispered": partial(shouted, breath=1.0, tilt_db=3.0),
}
HELD_OUT: Mapping[str, Change] = {
    "the signs of the samples": partial(driven, over_db=90.0),
    "all frequencies 1.8 times as high, clipped": _chain(
        partial(faster, times=1.8), partial(driven, over_db=40.0)
    ),
    "screamed at 550 Hz": partial(shouted, flat_hz=550.0, formants=1.2, tilt_db=12.0),
    "falsetto, three times as high": partial(shouted, pitch=3.0, formants=1.0, tilt_db=6.0),
    "hoarse shout, clipped": _chain(
        partial(shouted, pitch=1.7, breath=0.6), partial(driven, over_db=30.0)
    ),
    "shouted through a megaphone": _chain(shouted, megaphone),
    "shouted, in an office, 10 dB of noise": _chain(
        shouted, in_room, lambda samples: noisy(_clip(samples), 10.0).samples
    ),
    "shrill, by a telephone's rate": _chain(
        partial(faster, times=1.6), lambda samples: narrowband(_clip(samples)).samples
    ),
}


def utterances(folder: Path, alone: SpeechDetector) -> dict[str, list[Clip]]:
    """Return a clip of each speaker, at 16 kHz: of those chosen on, and of the others.

    - `alone`: hears 2.2 s or more in each, so that 1 s is left where all is twice as fast.
    """
    turns = {clip.speaker: clip for clip in reversed(ami_turns(LEAST_S))}
    corpora = train_clean(folder), [turns[name] for name in sorted(turns)]
    found: dict[str, list[Clip]] = {}
    for group, first in (("chosen on", 0), ("held out", 1)):
        for clips in corpora:
            for i, clip in enumerate(clips[first::2][:SPEAKERS]):
                seconds = np.random.default_rng(i).uniform(LEAST_S, LONGEST_S)
                samples = resampled(clip.samples, clip.rate_hz, RATE_HZ)
                samples = samples[: round(seconds * RATE_HZ)]
                if net_s(alone, samples) >= LEAST_SPEECH_S:
                    own = replace(clip, samples=samples, rate_hz=RATE_HZ)
                    found.setdefault(group, []).append(own)
    return found


DISTORTIONS: Mapping[str, Change] = {
    "": lambda samples: samples,
    "in an office": in_room,
    "in a hall": partial(in_room, room="hall"),
    "clipped by 20 dB": partial(driven, over_db=20.0),
    "by a telephone's rate": lambda samples: narrowband(_clip(samples)).samples,
    "in noise of 15 dB": lambda samples: noisy(_clip(samples), 15.0).samples,
}


def sounds(kinds: Mapping[str, Sound]) -> Iterator[tuple[str, Float32Array]]:
    """Yield sounds that are not speech, at -6 dBFS, plain and distorted."""
    for name, sound in kinds.items():
        for seed in range(SEEDS):
            made = sound(np.random.default_rng(zlib.crc32(f"{name}{seed}".encode())))
            level = 0.5 * made[: len(TIMES_S)] / max(float(np.abs(made).max()), 1e-9)
            for change in DISTORTIONS.values():
                yield name, change(level.astype(np.float32))


def recorded(folder: Path) -> Iterator[tuple[str, Float32Array]]:
    """Yield the recordings in a folder and in the folders in it, by the names of these."""
    for path in sorted(folder.rglob("*.*")):
        if path.suffix in {".flac", ".mp3", ".oga", ".ogg", ".wav"}:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            yield path.parent.name, resampled(samples.mean(axis=1), rate_hz, RATE_HZ)


def detectors() -> tuple[SpeechDetector, SpeechDetector]:
    """Return Silero alone, and with the second opinion."""
    store = model_store()
    for name in (VAD_MODEL, SECOND):
        store.ensure(name)
    second = SecondOpinion(Segmenter.open(store.installed(SECOND), EngineOptions()))
    silero, little = store.installed(VAD_MODEL), LittleSpeech(ENOUGH_S, lambda: second)
    return open_detector(silero, SpeechOptions()), open_detector(
        silero, SpeechOptions(), little=little
    )


def net_s(detector: SpeechDetector, samples: Float32Array) -> float:
    """Return the seconds of speech that a detector finds."""
    stream = detector.stream()
    chunks = [*stream.push(samples), *stream.finish()]
    return sum(float(chunk.speech.sum()) for chunk in chunks) * FRAME_S


@dataclass(slots=True)
class Count:
    """How many there were, and how many gave a vector with Silero alone and with both."""

    all: int = 0
    alone: int = 0
    both: int = 0

    def add(self, heard: tuple[bool, bool]) -> None:
        """Count one."""
        self.all += 1
        self.alone += heard[0]
        self.both += heard[1]


def table(title: str, counts: Mapping[str, Count], *, speech: bool) -> str:
    """Return what went wrong, by kind: no vector of speech, or one of something else."""
    total = Count(*(sum(getattr(c, name) for c in counts.values()) for name in Count.__slots__))
    rows = []
    for kind, count in [*counts.items(), ("all of them", total)]:
        wrong = [count.all - n if speech else n for n in (count.alone, count.both)]
        bound = metrics.rate_upper_bound(wrong[1], count.all)
        rows.append([kind, count.all, *wrong, percent(wrong[1] / count.all), percent(bound)])
    what = "without a vector" if speech else "with a vector"
    headers = ["kind", "clips", f"{what}: Silero alone", "with the second opinion", "%"]
    return markdown(title, [*headers, "95 % upper"], rows)


def main() -> None:
    """Hear everything and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--sounds", type=Path, help="a folder of recordings without speech")
    parser.add_argument("--acted", type=Path, help="a folder of recordings of acted speech")
    args = parser.parse_args()
    both = detectors()

    def counted(clips: Iterable[tuple[str, Float32Array]]) -> dict[str, Count]:
        counts: dict[str, Count] = {}
        for kind, samples in clips:
            one, other = (net_s(detector, samples) >= ENOUGH_S for detector in both)
            counts.setdefault(kind, Count()).add((one, other))
        return counts

    groups = utterances(args.corpora, both[0]) if has_world() else {}
    for group, clips in groups.items():
        changes = {**CHOSEN_ON, **HELD_OUT} if group == "held out" else CHOSEN_ON
        made = ((name, to(clip.samples)) for name, to in changes.items() for clip in clips)
        title = f"Speech; speakers {group}: {len({clip.speaker for clip in clips})}"
        print(table(title, counted(made), speech=True), flush=True)
    for group, kinds in (("chosen on", SOUNDS_CHOSEN_ON), ("held out", SOUNDS_HELD_OUT)):
        print(table(f"No speech; kinds {group}", counted(sounds(kinds)), speech=False), flush=True)
    if args.sounds is not None:
        print(table("No speech; recordings", counted(recorded(args.sounds)), speech=False))
    if args.acted is not None:
        print(table("Acted speech; recordings", counted(recorded(args.acted)), speech=True))


if __name__ == "__main__":
    main()

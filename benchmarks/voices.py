"""From clips to vectors, by the product's own way and by a way around it.

`Ear` hears clips as the product does, with speech detection and quality; `NakedEncoder`
gives the encoder whole clips, to see what the detection is worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr

from benchmarks.trials import Voice
from voiceid.audio import AudioOptions
from voiceid.domain import Float32Array
from voiceid.evaluation import pieces
from voiceid.evaluation.degradations import Clip
from voiceid.evaluation.learning import Heard
from voiceid.evaluation.pieces import Piece, Sound
from voiceid.models.cards import load_cards, own_cards_folder, shipped_cards_folder
from voiceid.models.install import ModelStore
from voiceid.models.providers import EngineOptions
from voiceid.speech.embedder import Embedder
from voiceid.speech.encoder import Encoder
from voiceid.speech.quality import QualityLimits
from voiceid.speech.second_opinion import SecondOpinion
from voiceid.speech.segmenter import Segmenter
from voiceid.speech.speaker_model import SECOND
from voiceid.speech.vad import LittleSpeech, SpeechOptions, open_detector

WORKERS = 2
VAD_MODEL = "silero-vad"


@dataclass(frozen=True, slots=True)
class Hearing:
    """A model and the settings that stand before it; those that ship when omitted."""

    model: str = "campplus"
    speech: SpeechOptions = field(default_factory=SpeechOptions)
    limits: QualityLimits = field(default_factory=QualityLimits)


class Listener(Protocol):
    """Anything that turns clips into voices, in order."""

    def hear(self, clips: Sequence[Clip]) -> list[Voice]:
        """Return a voice for each clip."""
        ...


def model_store() -> ModelStore:
    """Return the project's models folder; what is missing in it is fetched."""
    folder = shipped_cards_folder()
    return ModelStore(folder, load_cards(folder, own_cards_folder(folder)), offline=False)


def open_encoder(hearing: Hearing) -> Encoder:
    """Load the encoder, fetching it if need be."""
    store = model_store()
    card = store.card(hearing.model)
    store.ensure(card.name)
    model = store.installed(card.name)
    space, compensation = card.space(hearing.speech.describe()), card.compensation()
    return Encoder.open(model.path, model.sha256, space, rule=card.rule, compensation=compensation)


def open_embedder(hearing: Hearing, workers: int = WORKERS) -> Embedder:
    """Build the product's way from audio to a vector."""
    encoder = open_encoder(hearing)
    store = model_store()
    for name in (VAD_MODEL, SECOND):
        store.ensure(name)
    second = SecondOpinion(Segmenter.open(store.installed(SECOND), EngineOptions()))
    little = LittleSpeech(hearing.limits.min_net_speech_s, lambda: second)
    detector = open_detector(store.installed(VAD_MODEL), hearing.speech, little=little)
    return Embedder(encoder, detector, AudioOptions(), hearing.limits, workers)


class Ear:
    """Hears clips as the product does.

    Parameters
    ----------
    hearing : Hearing
    cache : Path or None
        A folder that keeps vectors between runs, for work on the benchmarks themselves: it
        knows nothing of changes to the code.
    raw : bool
        Whether vectors are as the encoder makes them, and not compensated.
    """

    def __init__(self, hearing: Hearing, cache: Path | None = None, *, raw: bool = False) -> None:
        embedder = open_embedder(hearing)
        self.embedder = embedder.raw if raw else embedder
        digest = hashlib.sha256(repr((hearing, self.embedder.space.id)).encode()).hexdigest()[:12]
        self._file = None if cache is None else cache / f"{hearing.model}-{digest}.npz"
        self._known: dict[str, Float32Array] = {}
        if self._file is not None and self._file.is_file():
            with np.load(self._file) as stored:
                self._known = dict(zip(stored["keys"].tolist(), stored["rows"], strict=True))

    def hear(self, clips: Sequence[Clip]) -> list[Voice]:
        """Return a voice for each clip; too little speech gives one without a vector."""
        with self._remembering(), ThreadPoolExecutor(WORKERS) as pool:
            rows = list(pool.map(self._row, clips))
        return [_voice(clip, row) for clip, row in zip(clips, rows, strict=True)]

    def listen(self, found: Sequence[Piece], conditions: Sequence[str]) -> Heard:
        """Hear pieces through every condition."""
        with self._remembering():
            return pieces.listen(found, conditions, self._sound, WORKERS)

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """Write down what was new, if there is a cache."""
        size = len(self._known)
        yield
        if self._file is not None and len(self._known) > size:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self._file, keys=list(self._known), rows=list(self._known.values()))

    def _sound(self, clip: Clip) -> Sound:
        voice = _voice(clip, self._row(clip))
        return Sound(voice.net_speech_s, voice.snr_db, voice.vector)

    def _row(self, clip: Clip) -> Float32Array:
        """Net speech, SNR, telephone (NaN: not known), whether there is a vector, the vector."""
        source = clip.source
        data = source if isinstance(source, bytes) else source[0].tobytes() + b"%d" % source[1]
        key = hashlib.sha256(data).hexdigest()
        if key not in self._known:
            utterance = self.embedder.utterance(source)
            vector, quality = utterance.embedding, utterance.quality
            known = [np.nan if x is None else x for x in (quality.snr_db, quality.telephone)]
            head = [quality.net_speech_s, *known, float(vector is not None)]
            tail = np.zeros(self.embedder.space.dim) if vector is None else vector.vector
            self._known[key] = np.concatenate([head, tail]).astype(np.float32)
        return self._known[key]


def _voice(clip: Clip, row: Float32Array) -> Voice:
    return Voice(
        recording=clip.recording,
        speaker=clip.speaker,
        sex=clip.sex,
        net_speech_s=float(row[0]),
        snr_db=float(row[1]),
        telephone=float(row[2]),
        vector=row[4:] if row[3] else None,
    )


class NakedEncoder:
    """Gives the encoder the whole clip, silence and all; every second counts as speech."""

    def __init__(self, hearing: Hearing) -> None:
        self._encoder = open_encoder(hearing)

    def hear(self, clips: Sequence[Clip]) -> list[Voice]:
        """Return a voice for each clip."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(self._voice, clips))

    def _voice(self, clip: Clip) -> Voice:
        samples = clip.samples
        if clip.rate_hz != 16000:
            samples = soxr.resample(samples, clip.rate_hz, 16000).astype(np.float32)
        embedding = self._encoder.embed(samples)
        share = np.nan if embedding.telephone is None else embedding.telephone
        facts = (clip.recording, clip.speaker, clip.sex, clip.duration_s)
        return Voice(*facts, snr_db=np.nan, telephone=share, vector=embedding.vector)

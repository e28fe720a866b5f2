"""A `VoiceID` that is given utterances in place of recordings: the embedder alone is replaced.

A clip is a number, and its number says everything of it: whose voice it is, and its vector.  So
what a database must hold can be computed from what was acknowledged, and from nothing else.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from process_memory import remember_statements
from random_voices import files_holding

from torture.servers import URLS, server_files
from voiceid import EmbeddedClip, VoiceID
from voiceid.domain import (
    Embedding,
    EmbeddingSpace,
    Float32Array,
    NewSample,
    QualityReport,
    SpeakerDetails,
    Utterance,
)

SEALED = [False]
"""Whether the galleries that are made from now on, and all that is opened, are sealed."""
REPO = Path(__file__).resolve().parents[2]
DIM = 192  # of the encoder that is the default
CLIPS_OF_A_VOICE = 1000
_QUALITY = QualityReport(6.0, 4.5, 31.5, 0.0, 7400.0, 16_000, -21.5)
_DIGITS = 16  # of the hash of a clip are its number
_VOICE, _NOISE = 0.8, 0.6
"""Of a clip's vector: two clips of one voice have a cosine of about 0.64, as speech has."""


class Heard:
    """In the place of the embedder: what it is given has been heard already."""

    def __init__(self, space: EmbeddingSpace) -> None:
        self.space, self.workers = space, 1

    def utterance(self, source: Utterance) -> Utterance:
        return source

    def with_speech(self, source: Utterance, *_: object) -> Utterance:
        return source


def opened(data: Path, overrides: Mapping[str, object] | None = None) -> VoiceID:
    """Open a gallery that enrols and identifies utterances; it is the caller's to close."""
    overrides = dict(overrides or {})
    if SEALED[0]:
        overrides["privacy.key"] = f"file:{data.parent / 'elsewhere' / 'gallery.key'}"
    if data in URLS:
        overrides["database_url"] = URLS[data].text
    vid = VoiceID.open(data, home=REPO, overrides=overrides)
    vars(vid._session.named_model.speaker_model)["_loaded"] = Heard(vid.models.space)
    return vid


def new_clips(rng: np.random.Generator, n: int, voice: int | None = None) -> list[int]:
    """Return the numbers of ``n`` new clips of one voice, a new one unless it is named."""
    voice = int(rng.integers(1 << 40)) if voice is None else voice
    return [voice * CLIPS_OF_A_VOICE + int(i) for i in rng.permutation(CLIPS_OF_A_VOICE)[:n]]


def vector(clip: int) -> Float32Array:
    """Return the embedding (DIM,) of a clip."""
    voice = _unit(np.random.default_rng([clip // CLIPS_OF_A_VOICE]).standard_normal(DIM))
    noise = _unit(np.random.default_rng([clip, 1]).standard_normal(DIM))
    return _unit(_VOICE * voice + _NOISE * noise).astype(np.float32)


def centroid(clips: Iterable[int]) -> np.ndarray:
    """Return the centroid (DIM,), float64, that clips must have."""
    return _unit(np.mean([vector(clip).astype(np.float64) for clip in sorted(clips)], axis=0))


def pcm_sha256(clip: int) -> str:
    """Return what stands for the hash of a clip; it is found nowhere else by chance."""
    return hashlib.sha256(str(clip).encode()).hexdigest()[:-_DIGITS] + f"{clip:0{_DIGITS}x}"


def utterance(clip: int, space: EmbeddingSpace) -> Utterance:
    """Return what the embedder would make of a clip."""
    embedding = Embedding(vector(clip), space)
    return Utterance(f"{clip}.wav", pcm_sha256(clip), _QUALITY, embedding)


def clip_of(pcm_sha256: str) -> int:
    """Return the number of a clip by what stands for its hash."""
    return int(pcm_sha256[-_DIGITS:], 16)


def sealed(_: object, __: object, data: Path) -> None:
    """Seal a new gallery, if galleries are: a process that ends with it."""
    with opened(data) as vid:
        if SEALED[0] and vid.keys.gallery.status().kind == "none":
            vid.keys.gallery.init()


def remains(
    data: Path, people: Mapping[str, Iterable[int]], *, of_server: bool = True
) -> list[str]:
    """Return the files of a sealed gallery in which a name, or a piece of a vector, can be read."""
    if not SEALED[0]:
        return []
    needles = [name.encode() for name in people] + [name.casefold().encode() for name in people]
    for clips in people.values():
        for clip in clips:
            data_of = vector(clip).astype("<f4").tobytes()
            needles += [data_of[:16], data_of[256:272], pcm_sha256(clip).encode()]
    folders = (data, *server_files()) if of_server else (data,)
    found = [p for folder in folders for p in files_holding(folder, needles)]
    return [f"something of a person can be read in {path}" for path in found]


def fill(_: object, __: object, data: Path, people: dict[str, list[int]]) -> None:
    """Enrol people in one transaction: a process that ends with it."""
    sealed(_, __, data)
    with opened(data) as vid, vid._session.store.write() as writer:
        for name, clips in people.items():
            new = [NewSample(utterance(clip, vid.models.space)) for clip in clips]
            writer.samples.add(writer.speakers.add(name).id, vid.models.space, new)


def warm_up() -> None:
    """Load all that a worker needs, before there are any, and put its statements in words."""
    remember_statements()
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as vid:
        vid.enroll("first", [utterance(clip, vid.models.space) for clip in (1, 2)])
        vid.search(EmbeddedClip(vector(1), vid.models.space))
        vid.speakers.edit("first", SpeakerDetails(groups=("a",)))
        vid.speakers.export(Path(folder) / "export")
        vid.database.check()
        vid.index.rebuild()
        vid.speakers.remove("first")


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)

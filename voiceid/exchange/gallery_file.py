"""Files of exported speakers: text, described in docs/gallery.md, checked to the last byte.

JSON Lines: a header that names the embedding space, a line for each speaker, and a last line
with the counts, the SHA-256 of all bytes before it, and a signature of that.  The file contains no
code.  With a passphrase everything is sealed, after one line with the parameters.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from voiceid.decision.embeddings import from_base64, require_spread, to_base64
from voiceid.domain import (
    Consent,
    EmbeddingSpace,
    Float32Array,
    NewSpeakers,
    QualityReport,
    Sample,
    Speaker,
    SpeakerDetails,
    moment,
    speaker_name,
    tag,
)
from voiceid.errors import ChangeRefused, FileNotWritten, GalleryFileInvalid, VoiceIDError
from voiceid.exchange.adding import Exchanged, is_sha256
from voiceid.exchange.sealed_speakers import Batch, SealedSpeakers
from voiceid.foreign_files import EXPORT_LINE, EXPORT_VALUES, Unfit, opened
from voiceid.protection import SealBroken, SigningKey, Trusted, opening, sealing
from voiceid.protection import passphrase as guards
from voiceid.protection.sealed_stream import Writable
from voiceid.whole_files import whole_file

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.speech.speaker_model import Brought, SpeakerModel
    from voiceid.store import Reader

FORMAT, VERSION = "voiceid-gallery", 1
_SEALED, _SIGNED = "voiceid-sealed-gallery", "export"
_BATCH = 500
"""Samples that are added at once; a speaker with more is added whole."""
_NOTHING = SpeakerDetails()
_VALUE_MARKS = (b",", b":", b"[", b"{")
"""The characters before each value of a document, except the outermost."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The protection of a file: the key that signs it, and the passphrase that seals it, if any."""

    signing_key: SigningKey | None = None
    passphrase: str | None = None


_UNGUARDED = Guard()


def export(
    reader: Reader,
    space: EmbeddingSpace,
    names: Iterable[str],
    path: Path,
    guard: Guard = _UNGUARDED,
    when_whole: Callable[[Exchanged], None] = lambda _: None,
) -> Exchanged:
    """Write speakers to a new private file (0600), completely or not at all.

    Without names, all speakers with samples in the space are written.  ``when_whole`` is
    called before the file gets its name.
    """
    chosen = [reader.speakers.get(name) for name in names]
    if missing := [person.name for person in chosen if space.id not in person.spaces]:
        raise _nothing_of(space, ", ".join(missing))
    done = Exchanged(0, 0)
    with _new_file(path, guard) as write:
        header = {"format": FORMAT, "version": VERSION, "embedding_space": space.to_dict()}
        write({**header, "written_at": datetime.now(UTC).isoformat(timespec="seconds")})
        for page in [chosen] if chosen else reader.speakers.pages():
            samples = reader.samples.of_speakers([person.id for person in page], space.id)
            for person in page:
                if theirs := [_sample(sample) for sample in samples[person.id]]:
                    write({"speaker": _details(person), "samples": theirs})
                    done += Exchanged(1, len(theirs))
        if not done.speakers:
            raise _nothing_of(space, "no speaker has samples there")
        write({"speakers": done.speakers, "samples": done.samples, "sha256": None})
        when_whole(done)
    return done


def _nothing_of(space: EmbeddingSpace, names: str) -> ChangeRefused:
    return ChangeRefused(
        f"there are no samples in {space.id} to export: {names}",
        hint="Export with the model and the speech settings of the enrolment.",
    )


def read_gallery(
    model: SpeakerModel, path: Path, trusted: Trusted, passphrase: str | None = None
) -> SealedSpeakers:
    """Read and check the speakers of a file.

    Raises GalleryFileInvalid, SignatureInvalid, SpaceMismatch.
    """
    try:
        with opened(path) as file:
            plain = _plain(file, path, passphrase)
            return SealedSpeakers(model.space, _batches(plain, path, model, trusted))
    except (OSError, Unfit) as error:
        raise GalleryFileInvalid(
            f"{path} cannot be read: {getattr(error, 'strerror', error)}",
            hint="Name a file of exported speakers.",
        ) from error
    except SealBroken as error:
        raise GalleryFileInvalid(
            f"{path} is sealed with another passphrase, or was changed; nothing was imported",
            hint="Give the passphrase of the export, or export the file again.",
        ) from error


def is_sealed(path: Path) -> bool:
    """Whether a file of exported speakers asks for a passphrase."""
    try:
        with opened(path) as file:
            return guards.is_head(_SEALED, file.readline(guards.HEAD_BYTES))
    except (OSError, Unfit):
        return False


def _plain(file: IO[bytes], path: Path, passphrase: str | None) -> IO[bytes]:
    """Return the text of a file, from its start."""
    head = file.readline(guards.HEAD_BYTES)
    if not guards.is_head(_SEALED, head):
        file.seek(0)
        return file
    if passphrase is None:
        raise GalleryFileInvalid(
            f"{path} is sealed with a passphrase; nothing was imported",
            hint="Name its place with `voiceid speakers import --passphrase PLACE`.",
        )
    try:
        return opening(file, guards.key_of(_SEALED, head, passphrase), head)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _batches(file: IO[bytes], path: Path, model: SpeakerModel, trusted: Trusted) -> Iterator[Batch]:
    lines = _lines(file, path, trusted)
    space = _space_of(next(lines)[1], path)
    brought = model.brought(space.id, space.dim)
    people: list[_Person] = []
    n_samples = 0
    for number, document in lines:
        people.append(_parsed(document, space, f"{path}, line {number}"))
        n_samples += len(people[-1].samples)
        if n_samples >= _BATCH:
            yield _joined(people, brought), [""] * len(people)
            people, n_samples = [], 0
    if people:
        yield _joined(people, brought), [""] * len(people)


_Sample: TypeAlias = tuple[Float32Array, str, str, QualityReport, tuple[str, ...], str, datetime]
"""The vector and the other fields, in the order of `NewSpeakers`."""


class _Person(NamedTuple):
    name: str
    created_at: datetime
    details: SpeakerDetails
    samples: Sequence[_Sample]


def _joined(people: Sequence[_Person], brought: Brought) -> NewSpeakers:
    names, created_at, details, samples = zip(*people, strict=True)
    vectors, *columns = zip(*itertools.chain.from_iterable(samples), strict=True)
    owners = np.repeat(np.arange(len(people)), [len(of_person) for of_person in samples])
    return NewSpeakers(names, created_at, details, owners, brought(np.stack(vectors)), *columns)


def _details(speaker: Speaker) -> dict[str, Any]:
    return {
        "name": speaker.name,
        "created_at": speaker.created_at.isoformat(),
        "groups": list(speaker.groups),
        "metadata": dict(speaker.metadata),
        "expires_at": None if speaker.expires_at is None else speaker.expires_at.isoformat(),
        "disabled": speaker.disabled_at is not None,
        "consents": [consent.to_dict() for consent in speaker.consents],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "source_name": sample.source_name,
        "label": sample.label,
        "pcm_sha256": sample.pcm_sha256,
        "quality": sample.quality.exact(),
        "overrides": list(sample.overrides),
        "created_at": sample.created_at.isoformat(),
        "vector": to_base64(sample.vector),
    }


@contextlib.contextmanager
def _new_file(path: Path, guard: Guard) -> Iterator[Any]:
    """Yield a function that writes a line; the file appears when all lines are on the disk."""
    digest = hashlib.sha256()
    try:
        if os.path.exists(path):
            raise FileExistsError(17, "it exists already; it was not changed")
        with whole_file(path) as whole, _guarded(whole, guard.passphrase) as file:

            def write(document: dict[str, Any]) -> None:
                if "sha256" in document:
                    document["sha256"] = sha256 = digest.hexdigest()
                    if guard.signing_key is not None:
                        document["signed"] = guard.signing_key.signed(_SIGNED, sha256)
                line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
                _require_readable(line)
                digest.update(line)
                file.write(line)

            yield write
    except (OSError, Unfit) as error:
        raise FileNotWritten(
            f"{path} cannot be written: {getattr(error, 'strerror', error)}",
            hint="Name a new file.",
        ) from error


@contextlib.contextmanager
def _guarded(file: IO[bytes], passphrase: str | None) -> Iterator[Writable]:
    """Yield the stream for the text, sealed if there is a passphrase."""
    if passphrase is None:
        yield file
        return
    head, key = guards.new_key(_SEALED, passphrase)
    file.write(head)
    with sealing(file, key, head) as sealed:
        yield sealed


def _lines(file: IO[bytes], path: Path, trusted: Trusted) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the object of each line except the last, which is checked."""
    digest, n_speakers, n_samples = hashlib.sha256(), 0, 0
    for number in range(1, 1 << 62):
        line = file.readline(EXPORT_LINE.size + 1)
        try:
            _require_readable(line)
            document = json.loads(line)
        except Unfit as error:
            raise _damaged(path, f"line {number}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise _damaged(path, f"line {number} is not JSON, or the end is missing") from error
        if not isinstance(document, dict):
            raise _damaged(path, f"line {number} is not an object")
        if number > 1 and "sha256" in document:
            sha256, signed = digest.hexdigest(), document.pop("signed", None)
            expected = {"speakers": n_speakers, "samples": n_samples, "sha256": sha256}
            if document != expected or file.read(1):
                raise _damaged(path, "its checksum or its counts do not match")
            trusted.require(_SIGNED, sha256, signed, path)
            return
        yield number, document
        if number > 1:
            n_speakers += 1
            n_samples += len(document["samples"])
        digest.update(line)


def _require_readable(line: bytes) -> None:
    """Raise `Unfit` for a line with more bytes or values than an import reads."""
    if len(line) > EXPORT_LINE.size:
        raise EXPORT_LINE.exceeded()
    if sum(map(line.count, _VALUE_MARKS)) > EXPORT_VALUES.size:
        raise EXPORT_VALUES.exceeded()


def _space_of(header: dict[str, Any], path: Path) -> EmbeddingSpace:
    """Return the embedding space in the first line of a file."""
    if header.get("format") != FORMAT:
        raise _damaged(path, "it is not a file of exported speakers")
    if header.get("version") != VERSION:
        raise GalleryFileInvalid(
            f"{path} has version {header.get('version')!r}, but this voiceid reads only {VERSION}",
            hint="Import it with a newer voiceid.",
        )
    try:
        facts = {key: value for key, value in header["embedding_space"].items() if key != "id"}
        of_file = EmbeddingSpace(**facts)
        file_id = of_file.id
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(path, "it does not name its embedding space") from error
    if file_id != header["embedding_space"].get("id"):
        raise _damaged(path, "the id of its embedding space does not match")
    return of_file


def _parsed(document: dict[str, Any], space: EmbeddingSpace, where: str) -> _Person:
    """Return the speaker and the samples of a line; raises GalleryFileInvalid."""
    try:
        facts = document["speaker"]
        expires_at = facts["expires_at"]
        details = SpeakerDetails(
            groups=tuple(facts["groups"]),
            metadata={str(key): str(value) for key, value in facts["metadata"].items()},
            expires_at=None if expires_at is None else moment(expires_at),
            enabled=False if facts["disabled"] is not False else None,
            consents=tuple(map(Consent.of_dict, facts.get("consents", ()))),
        )
        details = _NOTHING if details == _NOTHING else details  # most have none: share one
        name, samples = speaker_name(facts["name"]), _new_samples(document["samples"], space)
        return _Person(name, moment(facts["created_at"]), details, samples)
    except (KeyError, TypeError, AttributeError, ValueError, VoiceIDError) as error:
        raise GalleryFileInvalid(
            f"{where}: it cannot be read: {error}",
            hint="Nothing was imported. Export the file again.",
        ) from error


def _new_samples(facts: list[dict[str, Any]], space: EmbeddingSpace) -> list[_Sample]:
    if not facts or len({sample["pcm_sha256"] for sample in facts}) < len(facts):
        raise ValueError("there is no recording, or one occurs twice")
    return [_new_sample(sample, space) for sample in facts]


def _new_sample(facts: dict[str, Any], space: EmbeddingSpace) -> _Sample:
    digest = facts["pcm_sha256"]
    if not is_sha256(digest):
        raise ValueError("a hash of a recording is malformed")
    quality = QualityReport.of_exact(facts["quality"])
    if not quality.net_speech_s > 0:
        raise ValueError("the net_speech_s of a recording is not above 0")
    require_spread(vector := from_base64(facts["vector"], space.dim))
    return (
        vector,
        digest,
        str(facts["source_name"]),
        quality,
        tuple(str(code) for code in facts["overrides"]),
        facts["label"] and tag("label", facts["label"]),
        moment(facts["created_at"]),
    )


def _damaged(path: Path, fault: str) -> GalleryFileInvalid:
    return GalleryFileInvalid(
        f"{path}: {fault}; nothing was imported", hint="Export the file again, or use a backup."
    )

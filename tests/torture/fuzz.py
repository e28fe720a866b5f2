"""Damaged files for every reader of files: each is read, or refused with an error of the program.

A reader runs in a process of its own, with a limit on memory and on the time of each file, so that
a crash of native code, a bomb and an endless loop are seen as what they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import soundfile
from exports import THREE_D_SPEAKER, pooled
from sounds import RATE, encode, encode_ffmpeg
from torch_files import legacy, zipped

from torture.processes import FAULT, Worker, start
from torture.tally import Tally
from torture.voices import REPO, new_clips, opened, utterance
from voiceid.audio import open_audio
from voiceid.config import load_config
from voiceid.enrollment import manifest
from voiceid.errors import VoiceIDError
from voiceid.evaluation import protocol
from voiceid.models.add import Addition, build, card_of
from voiceid.models.cards import load_cards
from voiceid.models.checkpoint import read_checkpoint

_MEMORY_BYTES = 1 << 30
_LONGEST_S = 20.0
_MOST_S = 30.0
"""A clip is 3.5 s long and no damage makes audio of half a minute and more of its few bytes."""
_LIES = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000]

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """What reads a kind of files, and sound files of that kind."""

    read: Read
    name: str
    sound: dict[str, bytes]


def fuzz(seconds: float, seed: int) -> Tally:
    """Feed every reader damaged files for ``seconds`` in all."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="voiceid-torture-") as folder:
        readers = _readers(Path(folder))
        for kind, reader in readers.items():
            until = time.monotonic() + seconds / len(readers)
            run = seed
            while time.monotonic() < until:
                run += 1
                worker = start(_feed, Path(folder), reader, run, until)
                tally.note(kind, _watched(worker, tally, kind))
    return tally


def _watched(worker: Worker, tally: Tally, kind: str) -> list[str]:
    """Count what a reader gets through; return what became of it when it did not end well."""
    last = "its start"
    while worker.said.poll(_LONGEST_S):
        try:
            what, *rest = worker.said.recv()
        except EOFError:
            worker.process.join()
            return [f"the process died ({worker.process.exitcode}) of {last}"]
        if what == FAULT:
            return [f"{rest[0]}\nof {last}"]
        if what == "end":
            worker.process.join()
            return []
        last = rest[0]
        tally.changes[kind] += 1
        tally.rounds += 1
    worker.kill()
    return [f"no end within {_LONGEST_S:g} s of {last}"]


def _feed(
    _: Connection, say: Connection, folder: Path, reader: Reader, seed: int, until: float
) -> None:
    rng = np.random.default_rng(seed)
    names = sorted(reader.sound)
    held = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (held + _MEMORY_BYTES,) * 2)
    number = 0
    while time.monotonic() < until:
        name = names[int(rng.integers(len(names)))]
        number += 1
        path = folder / reader.name.format(name)
        path.write_bytes(damaged(reader.sound[name], rng))
        say.send(("file", f"{name}, seed {seed}, number {number}"))
        with contextlib.suppress(VoiceIDError):
            reader.read(path)
    say.send(("end",))


def damaged(sound: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with one to four things done to it."""
    made = bytearray(sound)
    for _ in range(int(rng.integers(1, 5))):
        if not made:
            break
        # Heads are short, and most of what can be believed stands in them.
        at = int(rng.integers(min(len(made), 400) if rng.integers(2) else len(made)))
        n = int(rng.integers(1, 64))
        match int(rng.integers(7)):
            case 0:
                made[at] ^= 1 << int(rng.integers(8))
            case 1:
                del made[at:]
            case 2:
                del made[at : at + n]
            case 3:
                made[at:at] = made[at : at + n * n]
            case 4:
                made[at : at + n] = rng.bytes(n)
            case 5:
                width, order = int(rng.choice([1, 2, 4, 8])), str(rng.choice(["little", "big"]))
                lie = int(rng.choice(_LIES)) % (1 << 8 * width)
                made[at : at + width] = lie.to_bytes(width, order)
            case _:
                start = int(rng.integers(len(sound)))
                made[at : at + n] = sound[start : start + n]
    return bytes(made)


def _readers(folder: Path) -> dict[str, Reader]:
    export = _export(folder)
    cards = {path.stem: path.read_bytes() for path in (REPO / "models").glob("*.toml")}
    tree = {"layer": {"weight": np.ones((4, 6), "f4"), "bias": np.zeros(4, "f4")}}
    onnx = {
        "plain": pooled(metadata=THREE_D_SPEAKER).SerializeToString(),
        "late": pooled(metadata=THREE_D_SPEAKER, opset=18).SerializeToString(),
    }
    settings = {"config": (REPO / "config.yaml").read_bytes()}
    lists = {"csv": _LIST, "jsonl": _LINES}
    pairs = {"trials": b"1 a.wav b.wav\n0 a.wav c.wav\n" * 20}
    checkpoints = {"zipped": zipped(tree), "legacy": legacy(tree)}
    return {
        "audio": Reader(_hear, "clip", _clips()),
        "manifest": Reader(manifest.read_manifest, "people.{}", lists),
        "evaluated": Reader(protocol.read_manifest, "people.{}", lists),
        "trials": Reader(protocol.read_trials, "trials.txt", pairs),
        "export": Reader(_imported(folder), "export.jsonl", export),
        "config": Reader(
            lambda path: load_config(path.parent, environ={}), "config.yaml", settings
        ),
        "settings": Reader(_set, "environment", settings),
        "checkpoint": Reader(lambda p: read_checkpoint(p.read_bytes()), "checkpoint", checkpoints),
        "onnx": Reader(_added, "network.onnx", onnx),
        "cards": Reader(lambda path: load_cards(path.parent), "{}.toml", cards),
    }


_LIST = (
    "speaker,path,label,groups,expires,meta:badge\n"
    + 'alice,a.wav,phone,staff;night,2027-01-31,17\n"bob, jr.",b.wav,,,,\n' * 10
).encode()
_LINES = b'{"speaker": "alice", "path": "a.wav", "groups": ["staff"], "metadata": {"a": "b"}}\n' * 9


def _clips() -> dict[str, bytes]:
    """Return real speech (AMI) in every kind of file."""
    speech, rate = soundfile.read(REPO / "data/ami/trn06.wav", frames=56_448, dtype="float32")
    assert rate == RATE
    made = {name: encode(speech, name) for name in ("WAV", "FLAC", "MP3", "OGG", "AIFF", "AU")}
    made["OPUS"] = encode(speech, "OGG", subtype="OPUS")
    made["float"] = encode(speech, "WAV", subtype="FLOAT")
    made["ulaw"] = encode(speech, "WAV", subtype="ULAW")
    for name, container, codec in (
        ("aac", "adts", "aac"),
        ("m4a", "ipod", "aac"),
        ("webm", "webm", "libopus"),
        ("mka", "matroska", "flac"),
        ("wma", "asf", "wmav2"),
    ):
        made[name] = encode_ffmpeg(speech, container, codec, RATE)
    return made


def _hear(path: Path) -> None:
    for source in (path, path.read_bytes()):
        with contextlib.suppress(VoiceIDError), open_audio(source) as stream:
            for block in stream.blocks():
                if not np.all(np.isfinite(block)):
                    raise ArithmeticError("samples that are no numbers were let through")


def _export(folder: Path) -> dict[str, bytes]:
    rng, file = np.random.default_rng(1), folder / "sound.jsonl"
    with opened(folder / "data") as vid:
        for name in ("alice", "bob"):
            heard = [utterance(clip, vid.models.space) for clip in new_clips(rng, 2)]
            vid.enroll(name, heard, force=True)
        vid.speakers.export(file)
        vid.speakers.remove("alice")
        vid.speakers.remove("bob")
    return {"export": file.read_bytes()}


def _imported(folder: Path) -> Read:
    """Import a file with its checksum put right: whole or not at all."""

    def read(path: Path) -> None:
        *lines, last = path.read_bytes().splitlines(keepends=True) or [b""]
        with contextlib.suppress(ValueError, TypeError, KeyError):
            end = json.loads(last)
            end["sha256"] = hashlib.sha256(b"".join(lines)).hexdigest()
            path.write_bytes(b"".join([*lines, json.dumps(end).encode() + b"\n"]))
        with opened(folder / "data") as vid:
            try:
                vid.speakers.import_file(path, signed_by="anybody")
            finally:
                there = [speaker.name for speaker in vid.speakers.list()]
                problems = vid.database.check()
                for name in there:
                    vid.speakers.remove(name)
            if problems:
                raise ArithmeticError(f"imported was {problems}")

    return read


def _set(path: Path) -> None:
    """Take lines of the file for variables of the environment."""
    text = path.read_bytes().decode(errors="surrogateescape").replace("\0", "")
    pairs = [line.partition(":")[::2] for line in text.splitlines() if ":" in line]
    environ = {f"VOICEID_{key.strip().upper()}": value.strip() for key, value in pairs}
    load_config(path.parent / "nowhere", environ=environ)


def _added(path: Path) -> None:
    said = Addition(front_end="kaldi-fbank-80")
    card = card_of("fuzzed", path, path.read_bytes(), said)
    build(card, path.read_bytes())

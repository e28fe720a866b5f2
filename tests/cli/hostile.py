"""Small files that ask for much: each with the command that reads it and what must be said.

Run as a program, it runs one command after another in one process, each with 256 MiB over what the
process has by then, and prints what became of it as JSON.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import resource
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

MEMORY_BYTES, CPU_S = 256 << 20, 10.0

Make = Callable[[Path], Path]


def sparse(path: Path, size: int, start: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def aliases() -> bytes:
    """410 bytes that stand for 10 to the 9 values."""
    names = "abcdefghij"
    lines = [f"{names[0]}: &{names[0]} [{', '.join('x' * 10)}]"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    return "\n".join(lines).encode()


def table(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **options)
    return path


def long_names(folder: Path) -> Path:
    """A megabyte of text, once in the file, for each of 5,000 rows."""
    import pyarrow as pa

    text = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), ["a" * (1 << 20)])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([0.5] * 192 * 5000, pa.float32()), 192)
    return table(folder / "file", {"name": text, "embedding": vectors}, compression="zstd")


def long_vector(folder: Path) -> Path:
    """One row of 70 million numbers that are alike."""
    import numpy as np
    import pyarrow as pa

    values = pa.array(np.full(70_000_000, 0.5, np.float32))  # 268 MiB
    vectors = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    # To find what is alike, or the least, takes 6 s.
    how = {"compression": "zstd", "write_statistics": False, "use_dictionary": False}
    return table(folder / "file", {"name": ["a"], "embedding": vectors}, **how)


def many_rows(folder: Path) -> Path:
    """A million rows that are alike."""
    import numpy as np
    import pyarrow as pa

    values = pa.array(np.full(1_000_000 * 24, 0.5, np.float32))
    vectors = pa.FixedSizeListArray.from_arrays(values, 24)
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, "i4")), ["a"])
    return table(folder / "file", {"name": names, "embedding": vectors}, compression="zstd")


def network(path: Path, *operators: str) -> Path:
    """A network whose first node never ends, or fills memory."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    flag = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])], "body", [count, flag], [on]
    )
    nodes = {
        "Loop": helper.make_node("Loop", ["", "true"], [], body=body),
        "ConstantOfShape": helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        "Expand": helper.make_node("Expand", ["small", "size"], ["zeros"]),
    }
    rest = [
        helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Add", ["mean", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        [nodes[operators[0]], *rest],
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", 80])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 80])],
        [
            numpy_helper.from_array(np.ones((), "?"), "true"),
            numpy_helper.from_array(np.array([3_000_000_000]), "size"),
            numpy_helper.from_array(np.zeros(1, "f4"), "small"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return written(path, model.SerializeToString())


def wav_of_many_channels(folder: Path) -> Path:
    channels, rate = 256, 768_000
    data = bytes(2 * channels * 8)
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return written(
        folder / "a.wav", b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
    )


def sound(container: str, codec: str) -> bytearray:
    """A second of a tone in a file that FFmpeg wrote."""
    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        track = output.add_stream(codec, rate=16_000)
        track.layout = "mono"
        pcm = (8000 * np.sin(np.arange(16_000) / 8)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = 16_000
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return bytearray(file.getvalue())


def forged(container: str, codec: str, magic: bytes, lie: bytes, skip: int = 0) -> Make:
    """A file in which a number behind some bytes is another."""

    def make(folder: Path) -> Path:
        data = sound(container, codec)
        at = data.index(magic) + len(magic) + skip
        data[at : at + len(lie)] = lie
        return written(folder / f"a.{container}", data)

    return make


def bomb(folder: Path) -> Path:
    """An archive of NumPy's or PyTorch's form whose one member unpacks to 300 MB of zeros."""
    return written(folder / "a.npz", _packed_zeros())


@cache
def _packed_zeros() -> bytes:
    import zipfile

    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("archive/data.pkl", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(1 << 20))
    return file.getvalue()


def other_program(folder: Path) -> Path:
    """A database of another program, with a table of our name and a view that never ends."""
    import sqlite3

    path = folder / "places.sqlite"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with contextlib.closing(sqlite3.connect(path)) as places:
        places.execute("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")
        places.execute(f"CREATE VIEW speakers AS {endless}")
        places.execute("INSERT INTO moz_places (url) VALUES ('https://example.org')")
        places.commit()
    return path


def its_home(folder: Path) -> Path:
    """A home whose database is that of another program."""
    (folder / "home" / "data").mkdir(parents=True)
    other_program(folder).rename(folder / "home" / "data" / "voiceid.sqlite3")
    return folder / "home"


def outside(path: Path) -> Path:
    """A network whose weights are said to be in a file elsewhere."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((80, 80), "f4"), "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "../../../../etc/passwd", "length": "25600"}.items():
        weights.external_data.add(key=key, value=value)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", 80])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 80])]
    graph = helper.make_graph(nodes, "outside", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return written(path, model.SerializeToString())


def lowered(folder: Path) -> Path:
    """Models among which a card lowers the thresholds of a shipped name."""
    shipped = Path(__file__).parents[2] / "models" / "campplus.toml"
    (folder / "models").mkdir()
    text = re.sub(r"(?m)^(threshold\w* = ).*$", r"\g<1>-1.0", shipped.read_text())
    written(folder / "models" / "campplus.toml", text.encode() + b"\n# mine\n")
    return folder / "models"


def playlist(text: str) -> Make:
    return lambda folder: written(folder / "a.wav", text.encode())


def _header(length: int) -> bytes:
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", length)


def settings(write: Callable[[Path], object]) -> Make:
    return lambda folder: _home(folder, write)


def _home(folder: Path, write: Callable[[Path], object]) -> Path:
    (folder / "home").mkdir()
    write(folder / "home" / "config.yaml")
    return folder / "home"


def card(folder: Path) -> Path:
    """A card whose one key has 30,000 parts."""
    (folder / "models").mkdir()
    written(folder / "models" / "evil.toml", b".".join([b"a"] * 30_000) + b" = 1")
    return folder / "models"


def device(_: Path) -> Path:
    return Path("/dev/zero")


def pipe(folder: Path) -> Path:
    return fifo(folder / "pipe")


def holes(size: int, start: bytes = b"") -> Make:
    return lambda folder: sparse(folder / "file", size, start)


def holding(name: str, data: Callable[[], bytes]) -> Make:
    return lambda folder: written(folder / name, data())


def array(folder: Path) -> Path:
    """An array whose header claims two gigabytes; its list beside it."""
    written(folder / "ids.txt", b"a\n")
    return sparse(folder / "file", 1 << 40, b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31))


def backup(folder: Path) -> Path:
    """What begins like a database of four thousand million pages, and has none of them."""
    return sparse(folder / "file", 1 << 40, b"SQLite format 3\0" + bytes(84))


SHOW = "--home {} config show"
ENROL, TRIALS, IMPORT = "enroll --manifest {}", "evaluate {} -o {folder}/out", "speakers import {}"
VECTORS = IMPORT + " --space {space} --net-speech-s 3"
PULL = "models pull campplus --from {}"
ADD = "models add {} --frontend kaldi-fbank-80 --framework wespeaker"
RESTORE = "database restore {} --yes"
EMBED = "embed {}"
SUBTITLES = "diarize x.wav --transcript {}"
LIST, ROW = "268,435,456 bytes", "262,144 characters"

CASES: dict[str, tuple[Make, str, int, str]] = {
    "settings of aliases": (settings(lambda p: written(p, aliases())), SHOW, 21, "aliases"),
    "long settings": (settings(lambda p: written(p, b"a: 1\n" * 90_000)), SHOW, 21, "65,536 bytes"),
    "settings: a device": (settings(lambda p: p.symlink_to("/dev/zero")), SHOW, 21, "a device"),
    "settings: a pipe": (settings(fifo), SHOW, 21, "a pipe"),
    "a card's key": (card, "models list", 21, "64 parts"),
    "manifest: a device": (device, ENROL, 45, "a device"),
    "manifest: a pipe": (pipe, ENROL, 45, "a pipe"),
    "manifest: a terabyte": (holes(1 << 40), ENROL, 45, LIST),
    "manifest: a line": (
        holding("a.jsonl", lambda: b'{"name": "' + b"a" * 60_000_000),
        *(ENROL, 45, ROW),
    ),
    "manifest: a row": (
        holding("a.csv", lambda: b'name,path\n"' + b'","\n' * 9_000_000),
        *(ENROL, 45, ROW),
    ),
    "manifest: faults": (
        holding("a.csv", lambda: b"name,path\n" + b"x\n" * 700_000),
        *(ENROL, 45, "and 699990 more"),
    ),
    "trials: a device": (device, TRIALS, 56, "a device"),
    "trials: a pipe": (pipe, TRIALS, 56, "a pipe"),
    "trials: a terabyte": (holes(1 << 40), TRIALS, 56, LIST),
    "trials: a line": (holding("a", lambda: b"1 " + b"a" * 60_000_000), TRIALS, 56, ROW),
    "transcript: words": (
        holding(
            "a",
            lambda: b"WEBVTT\n\n" + (b"00:00.000 --> 00:08.000\n" + b"a " * 999 + b"\n\n") * 300,
        ),
        *(SUBTITLES, 63, "200,000 words"),
    ),
    "transcript: tags": (
        holding("a", lambda: b"WEBVTT\n\n00:00.000 --> 00:08.000\n" + b"<00:01.000>a" * 600_000),
        *(SUBTITLES, 63, "200,000 words or tags"),
    ),
    "transcript: a segment": (
        holding("a", lambda: b"WEBVTT\n\n00:00.000 --> 00:08.000\n" + b"a" * 8_000_000),
        *(SUBTITLES, 63, "262,144 characters"),
    ),
    "transcript: values": (
        holding("a", lambda: b'{"segments":[' + b"{}," * 2_000_000 + b"{}]}"),
        *(SUBTITLES, 63, "1,000,000 lines or values"),
    ),
    "receipt: values": (
        holding("a", lambda: b"[" + b"{}," * 5_000_000 + b"{}]"),
        *("privacy check {}", 73, "8,388,608 bytes"),
    ),
    "import: a device": (device, IMPORT, 55, "a device"),
    "import: a pipe": (pipe, IMPORT, 55, "a pipe"),
    "import: a line": (
        holding("a", lambda: b'{"a": "' + b"a" * 60_000_000),
        *(IMPORT, 55, "16,777,216 bytes"),
    ),
    "import: values": (
        holding("a", lambda: b'{"a": [' + b"[]," * 4_000_000 + b"0]}"),
        *(IMPORT, 55, "500,000 values"),
    ),
    "import: texts": (long_names, VECTORS, 55, "MiB of memory, the limit"),
    "import: a vector": (long_vector, VECTORS, 55, "MiB of memory, the limit"),
    "import: rows": (many_rows, VECTORS, 55, "100 times its size"),
    "import: a header": (array, VECTORS + " --ids {folder}/ids.txt", 55, "10,000"),
    "checkpoint: a device": (device, PULL, 35, "a device"),
    "checkpoint: a pipe": (pipe, PULL, 35, "a pipe"),
    "checkpoint: a terabyte": (holes(1 << 40), PULL, 35, "1,073,741,824 bytes"),
    "network: a device": (device, ADD, 35, "a device"),
    "network: zeros alone": (holes(1 << 27), ADD, 35, "not an ONNX file"),
    "network: a loop": (lambda f: network(f / "a.onnx", "Loop"), ADD, 35, "loops"),
    "network: zeros": (lambda f: network(f / "a.onnx", "ConstantOfShape"), ADD, 35, "memory"),
    "network: a copy": (lambda f: network(f / "a.onnx", "Expand"), ADD, 35, "memory"),
    "backup: a device": (device, RESTORE, 50, "a device"),
    "backup: a pipe": (pipe, RESTORE, 50, "a pipe"),
    "backup: holes": (backup, RESTORE, 50, "100 times its bytes"),
    "audio: channels": (wav_of_many_channels, "embed {}", 25, "samples a second"),
    "audio: a playlist": (playlist("#EXTM3U\nfile:///etc/passwd\n"), EMBED, 24, "a playlist"),
    "audio: another": (playlist("ffconcat version 1.0\nfile /etc/passwd"), EMBED, 24, "a playlist"),
    "audio: a session": (playlist("v=0\nm=audio 5004 RTP/AVP 0\n"), EMBED, 24, "network streams"),
    "audio: a document": (playlist("<?xml version='1.0'?><playlist/>"), EMBED, 24, "XML"),
    "audio: samples": (forged("ipod", "aac", b"stsz", b"\xff" * 4, 8), EMBED, 24, "decoded"),
    "audio: a time scale": (
        forged("ipod", "aac", b"mdhd", b"\x7f\xff\xff\xff", 12),
        *(EMBED, 27, "0.00 s"),
    ),
    "audio: an element": (
        forged("matroska", "pcm_s16le", b"\x16T\xaek", b"\x01" + b"\xff" * 6 + b"\xfe"),
        *(EMBED, 27, "0.00 s"),
    ),
    "audio: a length": (forged("flac", "flac", b"fLaC", b"\xff" * 5, 17), EMBED, 25, "3600 s"),
    "audio: a rate": (
        forged("wav", "pcm_s16le", b"fmt ", b"\xff\xff\xff\x7f", 8),
        *(EMBED, 26, "2147483647 Hz"),
    ),
    "audio: 65,535 channels": (
        forged("wav", "pcm_s16le", b"fmt ", b"\xff\xff", 6),
        *(EMBED, 24, "cannot be decoded"),
    ),
    "audio: chunks of nothing": (
        holes(1 << 29, b"RIFF\xff\xff\xff\xffWAVE"),
        # By the number of seeks, or on a slow machine by the time before the first sound.
        *(EMBED, 24, "cannot be decoded | opening it takes over 1.5 s of CPU"),
    ),
    "import: an archive": (bomb, IMPORT, 55, "is not JSON"),
    "checkpoint: an archive": (bomb, "models pull ge2e --from {}", 34, "was pinned"),
    "network: an archive": (bomb, ADD, 35, "not an ONNX file"),
    "network: weights elsewhere": (lambda f: outside(f / "a.onnx"), ADD, 35, "another file"),
    "a card that lowers thresholds": (lowered, "models list", 21, "must be 0.1 to 1"),
    "backup: another program's": (other_program, RESTORE, 50, "of another program"),
    "database: another program's": (its_home, "--home {} speakers list", 50, "of another program"),
}


def fault(name: str, came: Mapping[str, Any]) -> str:
    """Return what is wrong with the outcome of a case; empty: it is as it must be.

    One of the phrases of a case, divided by `` | ``, must be in what the command said.
    """
    *_, code, phrases = CASES[name]
    text = came["said"]
    is_said = any(phrase in text for phrase in phrases.split(" | "))
    is_right = came["code"] == code and is_said and came["cpu_s"] < CPU_S
    if is_right and "Traceback" not in text and "internal error" not in text:
        return ""
    return f"{name}: expected {code} and {phrases!r} within {CPU_S:g} s: {came}"


def outcomes(names: list[str], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the commands of cases, one after another; yield what each came to."""
    import av  # noqa: F401 - as below
    import faiss  # noqa: F401 - under the limit, to load it ends the process
    import onnxruntime  # noqa: F401 - as above

    from voiceid import VoiceID
    from voiceid.cli import main

    with VoiceID.open() as vid:
        space = vid.models.space.id

    for number, name in enumerate(names):
        make, words, _, _ = CASES[name]
        place = folder / str(number)
        place.mkdir()
        path = make(place)
        before, error = _cpu_s(), io.StringIO()
        with _limited(), _models(path), contextlib.redirect_stderr(error):
            code = main([word.format(path, folder=place, space=space) for word in words.split()])
        yield name, {"code": code, "said": error.getvalue(), "cpu_s": _cpu_s() - before}
        path.unlink() if path.is_file() else None


def _cpu_s() -> float:
    used = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextlib.contextmanager
def _models(path: Path) -> Iterator[None]:
    """Take a path for the folder of models, if it is one."""
    before = os.environ["VOICEID_MODELS"]
    os.environ["VOICEID_MODELS"] = str(path) if path.name == "models" else before
    yield
    os.environ["VOICEID_MODELS"] = before


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    for name, came in outcomes(sys.argv[2:] or list(CASES), Path(sys.argv[1])):
        sys.stdout.write(json.dumps([name, came]) + "\n")

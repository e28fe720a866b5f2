"""How fast the service is, beside the library and beside a service around sherpa-onnx.

    make bench-server      (python -m benchmarks.server [--callers N] [--seconds S] [--no-peer])

A clip of 4 s is verified: by the library in this process and over HTTP in turn, one caller; then
as many as both cores take; then by many callers at once for a minute, of whom those that find no
place are refused and ask again after a while.  Every answer is compared with the library's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import soundfile

from benchmarks.corpora import ami_turns
from benchmarks.peers import set_up
from benchmarks.tables import markdown
from tests.postgres_server import Databases, own_server
from voiceid import VoiceID

PROGRAM = Path(sys.executable).with_name("voiceid")
PEER = Path(__file__).with_name("timed") / "sherpa_service.py"
CLIP_S = 4.0
N_ALONE = 200
AT_ONCE = 4
_LATE = 0.99


@dataclass
class Load:
    """What callers got."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    took_s: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.statuses[200] / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Return the time within which a share of the accepted requests was answered."""
        ranked = sorted(self.took_s)
        return 1e3 * ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def request_of(url: str, clip: bytes, fields: Mapping[str, str]) -> bytes:
    """Return a request as it goes over the wire, made once: the callers are to cost little."""
    form = httpx.Request("POST", url, files={"audio": ("a.wav", clip)}, data=dict(fields))
    body = form.read()
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: {form.headers['content-type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def call(url: str, request: bytes, load: Load, until: float, expected: bytes) -> None:
    """Ask over one connection, again and again, and count what is answered."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    while True:
        started = time.perf_counter()
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        status = int(head.split()[1])
        load.statuses[status] += 1
        if status == 200:
            load.took_s.append(time.perf_counter() - started)
            load.wrong += expected not in body
        else:
            await asyncio.sleep(0.5)
        if time.perf_counter() >= until:
            break
    writer.close()


def loaded(url: str, request: bytes, callers: int, seconds: float, expected: bytes) -> Load:
    """Return what so many callers got in so many seconds."""
    load = Load()

    async def ask() -> None:
        until = time.perf_counter() + seconds
        calls = (call(url, request, load, until, expected) for _ in range(callers))
        await asyncio.gather(*calls)

    started = time.perf_counter()
    asyncio.run(ask())
    load.seconds = time.perf_counter() - started
    return load


@contextlib.contextmanager
def process(command: Sequence[object], url: str, **environment: str) -> Iterator[int]:
    """Run a service until it is ready, and then as long as it is needed; yield its pid."""
    with subprocess.Popen(
        [*map(str, command)], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    ) as started:
        try:
            _await(f"{url}/readyz", started)
            yield started.pid
        finally:
            started.terminate()


def _await(url: str, started: subprocess.Popen[bytes]) -> None:
    while started.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"the service ended with {started.returncode} before it was ready")


def resident_mib(pid: int) -> float:
    """Return the memory of a process that is in use."""
    facts = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return int(facts["VmRSS"].split()[0]) / 1024


class Bench:
    """One gallery, one clip, and the rows that were measured."""

    def __init__(self, folder: Path, port: int) -> None:
        turns = [turn for turn in ami_turns() if len(turn.samples) >= CLIP_S * 16_000]
        speaker = statistics.mode(turn.speaker for turn in turns)
        mine = [turn for turn in turns if turn.speaker == speaker]
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        self.paths = []
        for number, turn in enumerate(mine[:4]):
            self.paths.append(folder / f"{number}.wav")
            soundfile.write(self.paths[-1], turn.samples[: int(CLIP_S * 16_000)], 16_000)
        self.clip = self.paths[-1].read_bytes()
        self.rows: list[list[str]] = []

    def row(self, what: str, measured: str, wanted: str = "") -> None:
        """Add a row, and print it."""
        self.rows.append([what, measured, wanted])
        print(f"{what}: {measured} {wanted}", file=sys.stderr, flush=True)

    def measure(self, name: str, callers: int, seconds: float, database_url: str | None) -> float:
        """Measure the service over one kind of database; return its answers a second."""
        settings = {} if database_url is None else {"database_url": database_url}
        data = self.folder / name
        with VoiceID.open(data, overrides=settings) as vid:
            vid.enroll("alice", self.paths[:3], force=True)
            expected = json.dumps(vid.verify("alice", self.clip).to_dict()["score"])
            environment = {f"VOICEID_{key.upper()}": value for key, value in settings.items()}
            port = urlsplit(self.url).port
            command = [PROGRAM, "--data", data, "serve", "--port", port]
            with process(command, self.url, **environment) as pid:
                request = request_of(f"{self.url}/v1/verify", self.clip, {"speaker": "alice"})
                self._alone(vid, request, expected)
                per_s = self._at_once(vid, request, expected)
                self._many(pid, request, expected, callers, seconds)
        return per_s

    def _alone(self, vid: VoiceID, request: bytes, expected: str) -> None:
        library: list[float] = []
        service = Load()
        for _ in range(N_ALONE):
            started = time.perf_counter()
            vid.verify("alice", self.clip)
            library.append(time.perf_counter() - started)
            once = loaded(self.url, request, 1, 0.0001, expected.encode())
            service.took_s += once.took_s
            service.wrong += once.wrong
        by_library = Load(took_s=library)
        for label, share in (("p50", 0.5), ("p99", _LATE)):
            slower = service.percentile_ms(share) - by_library.percentile_ms(share)
            self.row(
                f"verify over HTTP, one caller, {label}",
                f"{service.percentile_ms(share):.1f} ms; the library"
                f" {by_library.percentile_ms(share):.1f} ms; {slower:+.1f} ms",
                "+10 ms",
            )
        self.row("wrong answers", str(service.wrong), "0")

    def _at_once(self, vid: VoiceID, request: bytes, expected: str) -> float:
        ratios, rates = [], []
        for _ in range(5):
            started = time.perf_counter()
            n_clips = sum(1 for _ in vid.verify_all("alice", [self.clip] * 100))
            library_per_s = n_clips / (time.perf_counter() - started)
            load = loaded(self.url, request, AT_ONCE, 5.0, expected.encode())
            ratios.append(load.per_s / library_per_s)
            rates.append(load.per_s)
        self.row(
            "answers a second, both cores",
            f"{statistics.median(rates):.1f}; of the library's"
            f" {100 * statistics.median(ratios):.0f} %",
            "90 %",
        )
        return statistics.median(rates)

    def _many(self, pid: int, request: bytes, expected: str, callers: int, seconds: float) -> None:
        before_mib = resident_mib(pid)
        load = loaded(self.url, request, callers, seconds, expected.encode())
        others = {code: n for code, n in load.statuses.items() if code not in {200, 503}}
        self.row(
            f"{callers} callers for {seconds:g} s",
            f"{load.statuses[200]} answered, {load.wrong} of them wrong;"
            f" {load.statuses[503]} refused with 503; others: {others or 'none'}",
            "none wrong, no other",
        )
        self.row("p99 of those answered", f"{load.percentile_ms(_LATE):.0f} ms", "2000 ms")
        self.row("memory", f"{before_mib:.0f} MiB before, {resident_mib(pid):.0f} MiB after")


def peer_per_s(bench: Bench) -> float:
    """Return the answers a second of FastAPI around sherpa-onnx with the same weights."""
    peers = set_up()
    port = urlsplit(bench.url).port
    command = [peers.python, PEER, peers.sherpa_model, port, *bench.paths[:3]]
    with process(command, bench.url):
        request = request_of(f"{bench.url}/verify", bench.clip, {})
        loads = [loaded(bench.url, request, AT_ONCE, 5, b'"accepted":true').per_s for _ in range(5)]
    return statistics.median(loads)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--port", type=int, default=8499)
    parser.add_argument("--no-peer", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), args.port)
        per_s = bench.measure("sqlite", args.callers, args.seconds, None)
        if not args.no_peer:
            theirs = peer_per_s(bench)
            bench.row(
                "FastAPI around sherpa-onnx, answers a second",
                f"{theirs:.1f}; ours are {per_s / theirs:.2f} times as many",
            )
        print(markdown("The service, SQLite", ["what", "measured", "wanted"], bench.rows))
        bench.rows.clear()
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(own_server())
            url = Databases(server.admin).empty("voices")
            bench.measure("postgres", args.callers, args.seconds, url.text)
        print(markdown("The service, PostgreSQL", ["what", "measured", "wanted"], bench.rows))


if __name__ == "__main__":
    main()

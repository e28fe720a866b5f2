"""How fast the service is, beside the library and beside a service around sherpa-onnx.

    make bench-server      (python -m benchmarks.server [--callers N] [--seconds S] [--no-peer])

A clip of 4 s is verified: by the library in this process and over HTTP in turn, one caller; then
as many as both cores take; then by many callers at once for a minute, of whom those that find no
place are refused.  They ask again when ``Retry-After`` says, and in a second run at half a second.
Every answer is compared with the library's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
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
N_ALONE = 800
AT_ONCE = 4
_LATE = 0.99
_KEPT_S = 4.0


@dataclass
class Load:
    """The answers that callers got."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    took_s: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.statuses[200] / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Return the time within which a share of the accepted requests was answered.

        By the nearest rank: of 100 requests the 99th is the 99th fastest, not the slowest.
        """
        return 1e3 * sorted(self.took_s)[math.ceil(share * len(self.took_s)) - 1]


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


@dataclass(frozen=True, slots=True)
class Ask:
    """A question: the request, the fields of a right answer, and when a refused caller retries."""

    url: str
    request: bytes
    expected: bytes
    again_s: float | None = None  # None: as ``Retry-After`` says


async def call(asked: Ask, load: Load, until: float) -> None:
    """Ask over one connection, again and again, and count what is answered."""
    parts = urlsplit(asked.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    pause_s = 0.0
    while True:
        started = time.perf_counter()
        writer.write(asked.request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.strip().splitlines()[1:])
        body = await reader.readexactly(int(fields["content-length"]))
        status = int(head.split()[1])
        load.statuses[status] += 1
        if status == 200:
            load.took_s.append(time.perf_counter() - started)
            load.wrong += asked.expected not in body
        else:
            pause_s = float(fields["retry-after"]) if asked.again_s is None else asked.again_s
        if time.perf_counter() + pause_s >= until:
            break
        if pause_s:  # the service closes a connection on which nothing comes for 5 s
            writer.close()
            await asyncio.sleep(pause_s)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            pause_s = 0.0
    writer.close()


def loaded(asked: Ask, callers: int, seconds: float) -> Load:
    """Return what so many callers got in so many seconds."""
    load = Load()

    async def ask() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(call(asked, load, until) for _ in range(callers)))

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


class Caller:
    """One caller on one connection, who costs little."""

    def __init__(self, asked: Ask) -> None:
        self._asked = asked
        self.connect()

    def connect(self) -> None:
        """Connect again: the service closes a connection on which nothing comes for 5 s."""
        parts = urlsplit(self._asked.url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def ask(self) -> bool:
        """Ask once; return whether the answer is right."""
        self._socket.sendall(self._asked.request)
        n_bytes = 0
        while (line := self._answers.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length: "):
                n_bytes = int(line.split()[1])
            if not line:
                raise ConnectionError("the service closed the connection")
        return self._asked.expected in self._answers.read(n_bytes)


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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

    def measure(
        self, database_url: str | None, callers: int, seconds: float, peer: Ask | None
    ) -> None:
        """Measure the service over a file, or a database of a server."""
        settings = {} if database_url is None else {"database_url": database_url}
        data = self.folder / ("sqlite" if database_url is None else "postgres")
        with VoiceID.open(data, overrides=settings) as vid:
            vid.enroll("alice", self.paths[:3], force=True)
            expected = json.dumps(vid.verify("alice", self.clip).to_dict()["score"])
            environment = {f"VOICEID_{key.upper()}": value for key, value in settings.items()}
            port = urlsplit(self.url).port
            command = [PROGRAM, "--data", data, "serve", "--port", port]
            with process(command, self.url, **environment) as pid:
                request = request_of(f"{self.url}/v1/verify", self.clip, {"speaker": "alice"})
                asked = Ask(self.url, request, expected.encode())
                self._alone(vid, pid, asked)
                self._at_once(vid, asked, peer)
                for again_s in (None, 0.5):
                    self._many(pid, replace(asked, again_s=again_s), callers, seconds)

    def _alone(self, vid: VoiceID, pid: int, asked: Ask) -> None:
        library, service, cpu = list[float](), list[float](), [0.0, 0.0]
        caller, wrong = Caller(asked), 0
        for _ in range(N_ALONE):
            began, began_cpu = time.perf_counter(), time.process_time()
            vid.verify("alice", self.clip)
            library.append(time.perf_counter() - began)
            cpu[0] += time.process_time() - began_cpu
            if library[-1] > _KEPT_S:
                caller.connect()
            began, began_cpu = time.perf_counter(), cpu_s(pid)
            wrong += not caller.ask()
            service.append(time.perf_counter() - began)
            cpu[1] += cpu_s(pid) - began_cpu
        for label, share in (("p50", 0.5), ("p99", _LATE)):
            ours, theirs = (Load(took_s=one).percentile_ms(share) for one in (service, library))
            self.row(
                f"verify over HTTP, one caller, {label}",
                f"{ours:.1f} ms; the library {theirs:.1f} ms; {ours - theirs:+.1f} ms",
                "+10 ms",
            )
        each = [1e3 * seconds / N_ALONE for seconds in cpu]
        self.row(
            "processor time of one", f"{each[1]:.1f} ms; the library {each[0]:.1f} ms", "+10 ms"
        )
        self.row("wrong answers", str(wrong), "0")

    def _at_once(self, vid: VoiceID, asked: Ask, peer: Ask | None) -> None:
        ratios, rates, of_peer = list[float](), list[float](), list[float]()
        counting = list[float]()

        def counted(_: int) -> None:
            vid.verify("alice", self.clip, caller="bench")

        for _ in range(5):
            began = time.perf_counter()
            n_clips = sum(1 for _ in vid.verify_all("alice", [self.clip] * 60))
            library_per_s = n_clips / (time.perf_counter() - began)
            began = time.perf_counter()
            with ThreadPoolExecutor(2) as threads:
                n_clips = sum(1 for _ in threads.map(counted, range(60)))
            counting_per_s = n_clips / (time.perf_counter() - began)
            rates.append(loaded(asked, AT_ONCE, 5.0).per_s)
            ratios.append(rates[-1] / library_per_s)
            counting.append(rates[-1] / counting_per_s)
            if peer is not None:
                of_peer.append(rates[-1] / loaded(peer, AT_ONCE, 5.0).per_s)
        self.row(
            "answers a second, both cores",
            f"{statistics.median(rates):.1f}; of the library's"
            f" {100 * statistics.median(ratios):.0f} %; of one that counts attempts too, in two"
            f" threads, {100 * statistics.median(counting):.0f} %",
            "90 %",
        )
        if of_peer:
            self.row(
                "of FastAPI around sherpa-onnx, same weights",
                f"{100 * statistics.median(of_peer):.0f} %"
                f" ({100 * min(of_peer):.0f} to {100 * max(of_peer):.0f})",
            )

    def _many(self, pid: int, asked: Ask, callers: int, seconds: float) -> None:
        before_mib = resident_mib(pid)
        load = loaded(asked, callers, seconds)
        others = {code: n for code, n in load.statuses.items() if code not in {200, 503}}
        again = "when Retry-After says" if asked.again_s is None else f"after {asked.again_s:g} s"
        self.row(
            f"{callers} callers for {seconds:g} s, who ask again {again}",
            f"{load.statuses[200]} answered, {load.wrong} of them wrong;"
            f" {load.statuses[503]} refused with 503; others: {others or 'none'}",
            "none wrong, no other",
        )
        self.row("p99 of those answered", f"{load.percentile_ms(_LATE):.0f} ms", "2000 ms")
        self.row("memory", f"{before_mib:.0f} MiB before, {resident_mib(pid):.0f} MiB after")


@contextlib.contextmanager
def peer_service(bench: Bench, port: int) -> Iterator[Ask]:
    """Run FastAPI around sherpa-onnx with the same weights."""
    peers, url = set_up(), f"http://127.0.0.1:{port}"
    command = [peers.python, PEER, peers.sherpa_model, port, *bench.paths[:3]]
    with process(command, url):
        yield Ask(url, request_of(f"{url}/verify", bench.clip, {}), b'"accepted":true')


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
        with contextlib.ExitStack() as stack:
            peer = None
            if not args.no_peer:
                peer = stack.enter_context(peer_service(bench, args.port + 1))
            bench.measure(None, args.callers, args.seconds, peer)
        print(markdown("The service, SQLite", ["what", "measured", "wanted"], bench.rows))
        bench.rows.clear()
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(own_server())
            url = Databases(server.admin).empty("voices")
            bench.measure(url.text, args.callers, args.seconds, None)
        print(markdown("The service, PostgreSQL", ["what", "measured", "wanted"], bench.rows))


if __name__ == "__main__":
    main()

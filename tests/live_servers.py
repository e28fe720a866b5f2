"""Servers that give sound as it comes, over HTTP, UDP and RTSP; for tests of live sources."""

from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

RATE = 16_000


def encode(
    samples: np.ndarray, target, container: str, codec: str, pace: float = 0.0, **muxer: str
) -> None:
    """Write samples as they come, ``pace`` times as slow as they sound; 0: at once."""
    output = av.open(target, "w", format=container, options=muxer)
    stream = output.add_stream(codec, rate=RATE, layout="mono")
    resampler = av.AudioResampler(stream.format, "mono", RATE)
    step = RATE // 20
    started = time.monotonic()
    for at in range(0, len(samples), step):
        table = (samples[None, at : at + step] * 32767).astype("<i2")
        frame = av.AudioFrame.from_ndarray(table, "s16", "mono")
        frame.sample_rate, frame.pts = RATE, at
        for converted in resampler.resample(frame):
            for packet in stream.encode(converted):
                output.mux(packet)
        time.sleep(max(0.0, started + pace * at / RATE - time.monotonic()))
    for packet in stream.encode(None):
        output.mux(packet)
    with contextlib.suppress(OSError):
        output.close()


class _Writer:
    def __init__(self, file) -> None:
        self.write = file.write


def certificate(folder: Path, subject: str, *names: str) -> Path:
    """Return a file with a new key and its certificate, signed by itself."""
    path = folder / f"{subject}.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "2", "-subj", f"/CN={subject}", "-keyout", path, "-out", path]
    words += ["-addext", f"subjectAltName={','.join(names)}"] if names else []
    subprocess.run(words, check=True, capture_output=True)
    return path


@contextlib.contextmanager
def http_server(
    talks: list[np.ndarray], container: str, codec: str, key: Path | None = None
) -> Iterator[str]:
    """Serve one talk after the other, each to one client, and then break off."""
    left = list(talks)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not left:
                self.send_error(503)
                return
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                encode(left.pop(0), _Writer(self.wfile), container, codec)

        def log_message(self, *args: object) -> None:
            pass

    with _serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler), key) as port:
        scheme = "http" if key is None else "https"
        yield f"{scheme}://user:secret@127.0.0.1:{port}/talk?key=secret"


@contextlib.contextmanager
def file_server(folder: Path, asked: list[str] | None = None) -> Iterator[str]:
    """Serve the files of a folder, with their lengths; of ``cut-NAME`` two thirds of NAME.

    The paths of all requests are added to ``asked``.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            data = (folder / self.path.removeprefix("/cut-").lstrip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data[: len(data) * 2 // 3] if "cut-" in self.path else data)

        def log_message(self, *args: object) -> None:
            pass

    with _serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def redirecting(target: str, key: Path) -> Iterator[str]:
    """Serve https that says that the sound is elsewhere."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with _serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler), key) as port:
        yield f"https://127.0.0.1:{port}/talk"


@contextlib.contextmanager
def udp_sender(samples: np.ndarray) -> Iterator[str]:
    """Send a talk, MPEG-TS with AAC, to a port of this machine, four times as fast as it sounds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"udp://127.0.0.1:{port}"

    def send() -> None:
        time.sleep(2.0)  # until somebody listens: what is sent before is lost
        encode(samples, f"{address}?pkt_size=1316", "mpegts", "aac", pace=0.25)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    yield address
    sender.join(10)


@contextlib.contextmanager
def rtsp_server(samples: np.ndarray, key: Path | None = None) -> Iterator[str]:
    """Serve a talk as an intercom does: RTSP, with 16-bit samples in RTP over its connection."""
    pcm = (samples * 32767).astype(">i2").tobytes()
    sdp = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=door\r\nt=0 0\r\nm=audio 0 RTP/AVP 97\r\n"
        f"a=rtpmap:97 L16/{RATE}/1\r\na=control:track1\r\n"
    )

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while line := self.rfile.readline():
                    method, url = line.decode().split()[:2]
                    headers = {}
                    while (row := self.rfile.readline().strip()) != b"":
                        key, _, value = row.decode().partition(":")
                        headers[key.lower()] = value.strip()
                    self._reply(method, url, headers)
                    if method == "PLAY":
                        self._play()
                        return

        def _reply(self, method: str, url: str, headers: dict[str, str]) -> None:
            more, body = {
                "OPTIONS": ("Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n", ""),
                "DESCRIBE": (f"Content-Type: application/sdp\r\nContent-Base: {url}/\r\n", sdp),
                "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", ""),
                "PLAY": ("Session: 1\r\n", ""),
            }.get(method, ("", ""))
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            head = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n{more}{length}\r\n"
            self.wfile.write((head + body).encode())

        def _play(self) -> None:
            step = RATE // 50 * 2
            for number, at in enumerate(range(0, len(pcm), step)):
                payload = pcm[at : at + step]
                rtp = struct.pack(">BBHII", 0x80, 97, number & 0xFFFF, at // 2, 7) + payload
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
                time.sleep(0.002)

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler), key) as port:
        yield f"{'rtsp' if key is None else 'rtsps'}://127.0.0.1:{port}/door"


@contextlib.contextmanager
def _serving(server: socketserver.TCPServer, key: Path | None = None) -> Iterator[int]:
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that refuses a certificate
    if key is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(key)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

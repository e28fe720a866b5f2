"""A pull that is killed while pip downloads leaves nothing that counts, and the next one works."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packages import PACKAGE, publish, sold_as

from voiceid.errors import DownloadFailed, HashMismatch
from voiceid.models.card_text import card_text
from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.models.install import ModelStore

ROOT = Path(__file__).resolve().parents[3]
NAME = "silero-vad"
PULL = """
import sys
from pathlib import Path
from voiceid.models.cards import load_cards
from voiceid.models.install import ModelStore

folder = Path(sys.argv[1])
ModelStore(folder / "models", load_cards(folder), offline=False).pull("silero-vad")
"""


class Index(ThreadingHTTPServer):
    """A package index of one wheel, which may stall or break off in the middle of it."""

    daemon_threads = True

    def __init__(self, wheel: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wheel, self.manner = wheel, "whole"
        self.under_way, self.go_on = threading.Event(), threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        wheel, manner = self.server.wheel, self.server.manner
        page = f'<a href="/{wheel.name}">{wheel.name}</a>'.encode()
        body = wheel.read_bytes() if self.path.endswith(".whl") else page
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if body == page else "application/zip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body == page or manner == "whole":
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.server.under_way.set()
        if manner == "stalls":
            self.server.go_on.wait(60)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(
    tmp_path: Path, silero_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Index]:
    wheel = publish(tmp_path / "index", silero_checkpoint.read_bytes())
    card = sold_as(load_cards(shipped_cards_folder())[NAME], wheel)
    (tmp_path / f"{NAME}.toml").write_text(card_text(card), encoding="utf-8")
    with Index(wheel) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/simple/"
        for key in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
            monkeypatch.delenv(key, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


def test_a_pull_that_is_killed_in_mid_download_is_made_good_by_the_next(
    index: Index, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "models", load_cards(tmp_path), offline=False)
    index.manner = "stalls"
    with subprocess.Popen([sys.executable, "-c", PULL, tmp_path], cwd=ROOT) as process:
        assert index.under_way.wait(60), PACKAGE
        process.kill()
    assert not store.is_installed(NAME)
    index.manner = "whole"
    index.go_on.set()
    store.pull(NAME)
    assert store.verify(NAME).name == NAME


def test_a_download_that_breaks_off_installs_nothing_and_says_so(
    index: Index, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "models", load_cards(tmp_path), offline=False)
    index.manner = "breaks off"
    # Older versions of pip tell the half by its hash alone.
    with pytest.raises((DownloadFailed, HashMismatch), match=PACKAGE) as caught:
        store.pull(NAME)
    assert "network" in caught.value.hint or "Try again" in caught.value.hint
    assert list(store.folder.iterdir()) == []
    index.manner = "whole"
    store.pull(NAME)
    assert store.is_installed(NAME)

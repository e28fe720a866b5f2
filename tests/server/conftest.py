"""Galleries of alice and bob, and services over them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import Served, served

from voiceid import VoiceID


@pytest.fixture
def gallery(enrolled_data: Path, models_folder: Path, tmp_path: Path) -> Iterator[VoiceID]:
    """A gallery of alice and bob, to be changed."""
    shutil.copytree(enrolled_data, tmp_path / "data")
    settings = {"models": str(models_folder), "offline": True}
    with VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings) as vid:
        yield vid


@pytest.fixture
def service(gallery: VoiceID) -> Iterator[Served]:
    with served(gallery) as running:
        yield running


@pytest.fixture(scope="module")
def shared(
    enrolled_data: Path, models_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service that the tests of a module share, and that none of them changes."""
    home = tmp_path_factory.mktemp("served")
    shutil.copytree(enrolled_data, home / "data")
    settings = {"models": str(models_folder), "offline": True}
    with VoiceID.open(home / "data", home=home, overrides=settings) as vid, served(vid) as running:
        yield running


@pytest.fixture(scope="session")
def clips(enrolled_data: Path) -> Path:
    """The folder of the recordings: alice-3.wav, bob-3.wav, stranger.wav and others."""
    return enrolled_data.parent

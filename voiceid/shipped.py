"""Where the files are that come with the program."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """Return a file or folder: inside the package when installed, else in the project."""
    package = Path(__file__).parent
    installed = package / "_shipped" / name
    return installed if installed.exists() else package.parent / name

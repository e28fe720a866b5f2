"""The files that are part of the program, and the schema that it writes."""

from __future__ import annotations

from pathlib import Path

SCHEMA_HEAD = "0014"
"""The newest revision in ``migrations``; a test keeps both equal."""


def shipped(name: str) -> Path:
    """Return a file or folder: in the package if installed, else in the project."""
    package = Path(__file__).parent
    installed = package / "_shipped" / name
    return installed if installed.exists() else package.parent / name


def checkout() -> Path | None:
    """Return the checkout that this program runs from; None if it is installed."""
    root = Path(__file__).parent.parent
    of_project = (root / "pyproject.toml", root / "models", root / "migrations")
    return root if all(path.exists() for path in of_project) else None

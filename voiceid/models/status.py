"""The results of the store of models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceid.models.cards import ModelCard


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """Where the graph of an installed model is.

    Parameters
    ----------
    sha256 : str
        The hash that it must have when it is opened, in hex.
    """

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A card, and whether its model is installed.

    Parameters
    ----------
    kind : str
        ``encoder``, ``vad`` or ``segmentation``.
    path : Path
        Where it is, or would be.
    size_bytes : int or None
        None when it is not installed.
    """

    name: str
    kind: str
    installed: bool
    path: Path
    size_bytes: int | None
    card: ModelCard

    def to_dict(self) -> dict[str, object]:
        """Return the public JSON."""
        return {
            "name": self.name,
            "title": self.card.title,
            "kind": self.kind,
            "installed": self.installed,
            "path": str(self.path),
            "size_bytes": self.size_bytes,
            "license": self.card.license,
        }


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """A model that is unchanged since its installation, and passes its self-test.

    Parameters
    ----------
    sha256 : str
        Of its graph, in hex.
    distance : float
        How far its output is from the card's reference: for an encoder 1 minus the cosine.
    """

    name: str
    sha256: str
    distance: float

"""The receipt of an installed model: what it was built from, and its hash."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from voiceid.foreign_files import RECEIPT, content
from voiceid.models.build import builder
from voiceid.models.cards import ModelCard, Quantized, Source


def receipt_of(card: ModelCard, graph: bytes) -> bytes:
    """Return the receipt of a graph that was built for a card, as JSON."""
    receipt = {
        **identity(card),
        "sha256": hashlib.sha256(graph).hexdigest(),
        **_origin(card),
        "installed_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(receipt, indent=1).encode()


def read_receipt(path: Path, card: ModelCard) -> str | None:
    """Return the hash of the graph, or None when there is no receipt for this card."""
    try:
        receipt = json.loads(content(path, RECEIPT))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(receipt, dict):
        return None
    made_of = {key: receipt.get(key) for key in identity(card)}
    digest = receipt.get("sha256")
    return digest if made_of == identity(card) and isinstance(digest, str) else None


def identity(card: ModelCard) -> dict[str, object]:
    """The source of an artefact; if it differs, the artefact must be built again."""
    return {
        "model": card.name,
        "checkpoint_sha256": card.checkpoint_sha256,
        "frontend": card.frontend,
        "windowing": card.windowing.describe(),
        "builder": builder(card),
    }


def _origin(card: ModelCard) -> dict[str, str]:
    """The source of the weights, as a text."""
    if isinstance(card.source, Source):
        return {"package": f"{card.source.package} {card.source.version}"}
    if isinstance(card.source, Quantized):
        return {"base": card.source.base}
    return {"file": card.source.file}

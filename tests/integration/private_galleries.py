"""A gallery, plain or sealed, that is given utterances in place of recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torture.voices import REPO, Heard, utterance

from voiceid import VoiceID
from voiceid.domain import DatabaseUrl, Utterance

OpenGallery = Callable[..., VoiceID]


def opened(
    home: Path, kind: str, database: DatabaseUrl | None = None, **settings: object
) -> VoiceID:
    """Open the gallery of a home: the first time it is sealed, if that is the kind.

    Settings are those of ``privacy``, or, with ``__`` for a dot, others.
    """
    overrides: dict[str, object] = {"models": str(REPO / "models"), "offline": True}
    if database is not None:
        overrides["database_url"] = database.text
    for name, value in settings.items():
        overrides[name.replace("__", ".") if "__" in name else f"privacy.{name}"] = value
    vid = VoiceID.open(home / "data", home=home, overrides=overrides)
    vars(vid._session.named_model.speaker_model)["_loaded"] = Heard(vid.models.space)
    if kind == "sealed" and vid.keys.gallery.status().kind == "none":
        vid.keys.gallery.init()
    return vid


def heard(vid: VoiceID, clips: Sequence[int]) -> list[Utterance]:
    """Return what the embedder would make of clips."""
    return [utterance(clip, vid.models.space) for clip in clips]

"""Export of speakers to files, and import from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voiceid import exchange
from voiceid.enrollment.vetting import Vetting
from voiceid.errors import ChangeRefused
from voiceid.exchange import EmbeddingFacts, Exchanged, Guard, SealedSpeakers
from voiceid.observability import ChangeKind
from voiceid.protection.passphrase import LEAST_CHARS
from voiceid.resources.gallery_signature import GallerySignature
from voiceid.session import Session
from voiceid.speech.speaker_model import SpeakerModel

_VETTED_AGAIN = 3
"""Tries to compare the voices of an import with a gallery that keeps changing."""


class GalleryFiles:
    """Exports and imports."""

    def __init__(self, session: Session) -> None:
        self._session, self._signature = session, GallerySignature(session)

    def export(
        self, file: Path, names: Sequence[str], passphrase: str | None, *, plain: bool
    ) -> Exchanged:
        """See `Speakers.export`."""
        session = self._session
        with session.recorded(ChangeKind.EXPORT) as record:
            space, guard = session.model.space, Guard(self._signature.key_of_file(), passphrase)
            with session.store.read() as reader:
                sealed = reader.protection.sealing is not None
                _require_guarded(passphrase, needed=sealed and not plain)
                return exchange.export(
                    reader, space, names, file, guard, lambda done: record(**_counts(done))
                )

    def import_gallery(
        self,
        file: Path,
        passphrase: str | None,
        signed_by: str | None,
        *,
        append: bool,
        trust: bool,
    ) -> Exchanged:
        """See `Speakers.import_file`."""

        def read(model: SpeakerModel) -> SealedSpeakers:
            return exchange.read_gallery(
                model, file, self._signature.trusted(signed_by), passphrase
            )

        return self._import(read, append=append, trust=trust)

    def import_embeddings(
        self, file: Path, ids: Path | None, facts: EmbeddingFacts, *, append: bool, trust: bool
    ) -> Exchanged:
        """See `Speakers.import_embeddings`."""

        def read(model: SpeakerModel) -> SealedSpeakers:
            return exchange.read_embeddings(model, file, ids, facts)

        return self._import(read, append=append, trust=trust)

    def _import(
        self, read: Callable[[SpeakerModel], SealedSpeakers], *, append: bool, trust: bool
    ) -> Exchanged:
        session = self._session
        with session.recorded(ChangeKind.IMPORT):
            model = session.model
            # All slow work comes before the transaction, for which other writers wait.
            with read(model.speaker_model) as speakers:
                for _ in range(_VETTED_AGAIN):
                    lacking = partial(speakers.lacking, append=append)
                    gallery = session.gallery(model.space.id, model.space.dim)
                    check = partial(Vetting, session.store.read, gallery, model.space.id)
                    vetting = None if trust else check(model.checks.rule_of, lacking)
                    with session.change(ChangeKind.IMPORT, large=True) as change:
                        change.writer.spaces.require_current(model.space.id)
                        if vetting is None or vetting.holds(change.writer):
                            imported = speakers.add_to(change.writer, append=append, trust=trust)
                            change.record(**_counts(imported), trusted=trust)
                            return imported
            raise ChangeRefused(
                f"nothing was imported: the gallery changed {_VETTED_AGAIN} times while the voices"
                " of the file were compared with it",
                hint="Import again when there are fewer enrolments at the same time.",
            )


def _require_guarded(passphrase: str | None, *, needed: bool) -> None:
    """Raise ChangeRefused for a passphrase that is too short, or missing but required."""
    if passphrase is None and needed:
        raise ChangeRefused(
            "the gallery is sealed, and the export would be plain; nothing was written",
            hint="Seal it with a passphrase (--passphrase prompt), or use --plain.",
        )
    if passphrase is not None and len(passphrase) < LEAST_CHARS:
        raise ChangeRefused(
            f"the passphrase has fewer than {LEAST_CHARS} characters; nothing was written",
            hint="Use a longer one, e.g. several words.",
        )


def _counts(exchanged: Exchanged) -> dict[str, Any]:
    return {"speakers": exchanged.speakers, "samples": exchanged.samples}

"""Erasing speakers with a signed receipt of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voiceid.domain import Receipt, Speaker, system_user
from voiceid.observability import ChangeKind
from voiceid.protection import SigningKey
from voiceid.resources.erased_person import ErasedPerson
from voiceid.session import Session

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.change import Change


class ReceiptedErasure:
    """One erasure: speakers in a change, and after its commit the receipts."""

    def __init__(self, session: Session, key: SigningKey) -> None:
        self._session, self._key = session, key

    def erase(self, change: Change, speaker: Speaker) -> ErasedPerson:
        """Erase a speaker in a change of any kind; return what there was."""
        person = ErasedPerson.of(change.writer, speaker, self._session.kept_audio)
        change.writer.speakers.remove(speaker.id)
        change.record(change=ChangeKind.REMOVE, speaker=speaker.name, speaker_id=speaker.id)
        return person

    def receipt(
        self, person: ErasedPerson, remains: Sequence[str], by: str = "", **more: object
    ) -> Receipt:
        """Return the signed receipt; ``remains`` is what the erasure left behind.

        ``by``: who erased; empty: the user of the system.  ``more`` are further facts.
        """
        facts = person.facts(self._session, remains)
        facts |= {"erased_by": by or system_user(), **more}
        return Receipt(facts, self._key.public, self._key.sign(Receipt.signed_bytes(facts)))

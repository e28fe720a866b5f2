"""Withdrawing the consent of a speaker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from voiceid.domain import Speaker, Withdrawal
from voiceid.errors import ErasureIncomplete
from voiceid.observability import ChangeKind
from voiceid.resources.gallery_signature import GallerySignature
from voiceid.resources.receipted_erasure import ReceiptedErasure
from voiceid.session import Session


def withdrawal(
    session: Session, name: str, by: str, expect: Callable[[Speaker], None] | None
) -> Withdrawal:
    """Withdraw every consent of a speaker; see `Speakers.withdraw`.

    By the settings the speaker is erased in the same change, or by a later run.
    """
    days, remains = session.config.privacy.erase_withdrawn_after_days, tuple[str, ...]()
    erasure = None
    if days == 0:  # first the key: without it nothing is erased
        erasure = ReceiptedErasure(session, GallerySignature(session).key())
    try:
        with session.change(ChangeKind.WITHDRAW) as change:
            writer = change.writer.speakers
            before = writer.get(name)
            if expect is not None:
                expect(before)
            writer.withdraw(before, by)
            speaker = writer.get(name)
            change.record(speaker=speaker.name, speaker_id=speaker.id)
            if erasure is not None:
                person = erasure.erase(change, speaker)
    except ErasureIncomplete as error:
        if erasure is None:  # what remains is of an earlier erasure
            raise
        remains = error.remains
    since = speaker.withdrawn_at or change.writer.now
    receipt = None if erasure is None else erasure.receipt(person, remains, by)
    return Withdrawal(speaker, since + timedelta(days=days), receipt)

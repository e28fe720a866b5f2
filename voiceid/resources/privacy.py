"""The rights of the people whose voices are kept, and how long they are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from voiceid.domain import DueErasure, Receipt, RetentionRun, Speaker
from voiceid.errors import ErasureIncomplete, ReceiptInvalid, StoreError, VoiceIDError
from voiceid.foreign_files import ERASURE_RECEIPT, Unfit, content
from voiceid.listing import json_in
from voiceid.observability import ChangeKind
from voiceid.protection import is_signed
from voiceid.resources.adaptations import Adaptations
from voiceid.resources.erased_person import ErasedPerson, ReceiptedErasure
from voiceid.resources.gallery_signature import GallerySignature
from voiceid.session import Session
from voiceid.whole_files import whole_file

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.resources.person_report import PersonReport
    from voiceid.store import Reader, Writer

_UPCOMING = timedelta(days=30)
Expect: TypeAlias = Callable[[Speaker], None]
"""See `Speakers.edit`."""


class Privacy:
    """What is kept of a person, erasing it with a receipt, and the rules of retention."""

    def __init__(self, session: Session) -> None:
        self._session, self._signature = session, GallerySignature(session)

    # Rights

    def report(self, name: str, *, days: int = 30) -> PersonReport:
        """Return everything that is kept of a person.

        Parameters
        ----------
        days : int
            So far back the file of events (``log.file``) is read for uses.

        Raises
        ------
        SpeakerNotFound, StoreError
        """
        from voiceid.resources.person_report import person_report  # noqa: PLC0415 - for this alone

        return person_report(self._session, name, days)

    def page(self, report: PersonReport) -> str:
        """Return a report as a page of HTML that needs nothing else."""
        from voiceid.resources.person_page import person_page  # noqa: PLC0415 - for this alone

        return person_page(report)

    def erase(self, name: str, *, erased_by: str = "", expect: Expect | None = None) -> Receipt:
        """Erase a speaker as `Speakers.remove` does, and return the signed receipt of it.

        What could not be erased is in the receipt, as ``remains``, and is no error.

        Parameters
        ----------
        erased_by : str
            Who did it; empty: the user of the system.
        expect : callable, optional
            See `Speakers.edit`.

        Raises
        ------
        SpeakerNotFound, StoreError, GalleryKeyMissing
        """
        session, remains = self._session, tuple[str, ...]()
        erasure = ReceiptedErasure(session, self._signature.key())  # first: without it nothing is
        try:
            with session.change(ChangeKind.REMOVE) as change:
                speaker = change.writer.speakers.get(name)
                if expect is not None:
                    expect(speaker)
                person = erasure.erase(change, speaker)
        except ErasureIncomplete as error:
            remains = error.remains
        return erasure.receipt(person, remains, erased_by)

    def key(self) -> str:
        """Return the public key that receipts, backups and exports are checked with, in base64.

        It is derived from the secrets of a protected gallery; else a key pair is made once, in the
        data folder.  Raises GalleryKeyMissing, StoreError.
        """
        return self._signature.key().public

    def check(
        self, receipt: str | os.PathLike[str] | Mapping[str, Any], key: str | None = None
    ) -> Receipt:
        """Return a receipt that is as it was signed; raises ReceiptInvalid for any other.

        Parameters
        ----------
        receipt : path or mapping
            The file, or what is in it.
        key : str, optional
            The public key of the gallery; this one's when omitted.
        """
        try:
            found = Receipt.of_dict(
                receipt
                if isinstance(receipt, Mapping)
                else json_in(content(Path(receipt), ERASURE_RECEIPT))
            )
        except (OSError, ValueError, Unfit) as error:
            why = getattr(error, "strerror", None) or error
            if isinstance(error, UnicodeDecodeError):
                why = "it is not text"
            where = "" if isinstance(receipt, Mapping) else f" {os.fspath(receipt)}"
            raise ReceiptInvalid(
                f"the receipt{where} cannot be read: {why}",
                hint="Name a file that `voiceid privacy erase --receipt` wrote.",
            ) from error
        trusted = {key} if key is not None else self._signature.trusted().keys or ()
        if found.public_key not in trusted:
            raise ReceiptInvalid(
                f"the receipt is signed with another key, {found.public_key[:60]}",
                hint="`voiceid privacy key` of the gallery prints the right one: --key KEY.",
            )
        if not is_signed(Receipt.signed_bytes(found.facts), found.signature, found.public_key):
            raise ReceiptInvalid("the receipt was changed after it was signed")
        return found

    def keep(self, receipts: Sequence[Receipt], folder: str | os.PathLike[str]) -> None:
        """Write receipts to new files of a folder, for their owner alone; raises StoreError."""
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for receipt in receipts:
                day, number = receipt.facts["erased_at"][:10], receipt.facts["speaker"]["id"]
                with whole_file(Path(folder) / f"erased-{number}-{day}.json") as file:
                    file.write(f"{json.dumps(receipt.to_dict())}\n".encode())
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be written to: {error.strerror}", hint="Name another folder."
            ) from error

    # Retention

    @property
    def run_at_h(self) -> int | None:
        """The hour, in UTC, at which a service makes the run of a night; None: it makes none."""
        return self._session.config.privacy.run_at_h

    def run(self, *, dry_run: bool = False) -> RetentionRun:
        """Erase the speakers whose time is over, and return them with those that follow.

        The settings have the rules: ``privacy.retention`` and
        ``privacy.erase_withdrawn_after_days``.  Each who is erased has a receipt, as `erase` gives;
        `keep` writes them.  With ``dry_run`` nothing is changed.

        Raises
        ------
        StoreError, GalleryKeyMissing
        """
        now = datetime.now(UTC)
        if dry_run:
            with self._session.store.read() as reader:
                reader.retention.require_clock()
                run = _run(self._ends(reader, now), now)
            return replace(run, dry_run=True)
        people, remains, decisions = list[ErasedPerson](), tuple[str, ...](), 0
        try:
            with self._session.change(ChangeKind.REMOVE) as change:
                wanted = self._session.config.privacy.retention.unused_days is not None
                change.writer.retention.require_clock()
                change.writer.retention.correct_dates()
                change.writer.retention.count_uses(needed=wanted)
                change.writer.fingerprints.drop_expired()
                within = timedelta(seconds=self._session.config.attempts.within_s)
                change.writer.attempts.forget_before(now - within)
                run = _run(self._ends(change.writer, now), now)
                if run.due:  # first the key: without it nothing is erased
                    key = self._signature.key_with(change.writer.protection.vault)
                    erasure = ReceiptedErasure(self._session, key)
                people += [erasure.erase(change, one.speaker) for one in run.due]
                decisions = self._forget_decisions(change.writer, now)
        except ErasureIncomplete as error:
            remains = error.remains
        receipts = tuple(
            erasure.receipt(person, remains, rule=one.rule)
            for person, one in zip(people, run.due, strict=True)
        )
        if self._session.config.privacy.learn_again:
            try:
                Adaptations(self._session).learn_again()
            except VoiceIDError as error:  # the next run tries again
                self._session.notify(f"what was learned stays as it is: {error.message}")
        return replace(run, decisions=decisions, receipts=receipts)

    def _forget_decisions(self, writer: Writer, now: datetime) -> int:
        days = self._session.config.privacy.retention.decisions_days
        if days is None:
            return 0
        return writer.audit.forget_decisions((now - timedelta(days=days)).isoformat())

    def run_of_the_night(self) -> RetentionRun | None:
        """Make today's run, unless a service over this gallery has made it: then None.

        The receipts go into the folder ``privacy.receipts``, if the settings name one.
        """
        if not self._session.has_database:
            return None
        with self._session.store.write() as writer:
            if not writer.retention.begin_run():
                return None
        run, folder = self.run(), self._session.config.privacy.receipts
        if folder is not None and run.receipts:
            with self._session.observer.failures(ChangeKind.REMOVE):
                self.keep(run.receipts, folder)
        return run

    def _ends(self, reader: Reader, now: datetime) -> list[DueErasure]:
        """Return when the time of each speaker ends whose time does, by date."""
        rules, used = self._session.config.privacy, reader.retention.last_used()
        found = []
        for page in reader.speakers.pages():
            for speaker in page:
                ends = list(rules.ends(speaker, used.get(speaker.id), now))
                if ends:
                    rule, due_at = min(ends, key=lambda end: end[1])
                    found.append(DueErasure(speaker, rule, due_at))
        return sorted(found, key=lambda one: (one.due_at, one.speaker.name))


def _run(ends: Sequence[DueErasure], now: datetime) -> RetentionRun:
    """Return who is due, and who will be."""
    due = tuple(one for one in ends if one.due_at <= now)
    upcoming = tuple(one for one in ends if now < one.due_at <= now + _UPCOMING)
    return RetentionRun(due, upcoming, dry_run=False)

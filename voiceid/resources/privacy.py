"""The rights of enrolled people, and the rules of retention."""

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
    """A person's data, its erasure with a receipt, and the rules of retention."""

    def __init__(self, session: Session) -> None:
        self._session, self._signature = session, GallerySignature(session)

    # Rights

    def report(self, name: str, *, days: int = 30) -> PersonReport:
        """Return all stored data of a person.

        Parameters
        ----------
        days : int
            How many days back the event file (``log.file``) is read for uses.

        Raises
        ------
        SpeakerNotFound, StoreError
        """
        from voiceid.resources.person_report import person_report  # noqa: PLC0415 - for this alone

        return person_report(self._session, name, days)

    def page(self, report: PersonReport) -> str:
        """Return a report as a self-contained HTML page."""
        from voiceid.resources.person_page import person_page  # noqa: PLC0415 - for this alone

        return person_page(report)

    def erase(self, name: str, *, erased_by: str = "", expect: Expect | None = None) -> Receipt:
        """Erase a speaker as `Speakers.remove` does, and return the signed receipt of it.

        Data that could not be erased is in the receipt, as ``remains``; it is not an error.

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
        """Return a receipt if its signature is valid; raises ReceiptInvalid otherwise.

        Parameters
        ----------
        receipt : path or mapping
            The file, or what is in it.
        key : str, optional
            The public key of the gallery; this one's when omitted.
        """
        try:
            parsed = Receipt.of_dict(
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
                hint="Give a file that `voiceid privacy erase --receipt` wrote.",
            ) from error
        trusted = {key} if key is not None else self._signature.trusted().keys or ()
        if parsed.public_key not in trusted:
            raise ReceiptInvalid(
                f"the receipt is signed with another key, {parsed.public_key[:60]}",
                hint="`voiceid privacy key` in that gallery prints the right key: --key KEY.",
            )
        if not is_signed(Receipt.signed_bytes(parsed.facts), parsed.signature, parsed.public_key):
            raise ReceiptInvalid("the receipt was changed after it was signed")
        return parsed

    def keep(self, receipts: Sequence[Receipt], folder: str | os.PathLike[str]) -> None:
        """Write receipts to new private files in a folder; raises StoreError."""
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for receipt in receipts:
                day, number = receipt.facts["erased_at"][:10], receipt.facts["speaker"]["id"]
                with whole_file(Path(folder) / f"erased-{number}-{day}.json") as file:
                    file.write(f"{json.dumps(receipt.to_dict())}\n".encode())
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be written: {error.strerror}", hint="Choose another folder."
            ) from error

    # Retention

    @property
    def run_at_h(self) -> int | None:
        """The hour, in UTC, of a service's nightly run; None: there is no nightly run."""
        return self._session.config.privacy.run_at_h

    def run(self, *, dry_run: bool = False) -> RetentionRun:
        """Erase the speakers who are due, and return them with those who are due next.

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
                needed = self._session.config.privacy.retention.unused_days is not None
                change.writer.retention.require_clock()
                change.writer.retention.correct_dates()
                change.writer.retention.count_uses(needed=needed)
                change.writer.fingerprints.drop_expired()
                within = timedelta(seconds=self._session.config.attempts.within_s)
                change.writer.attempts.forget_before(now - within)
                run = _run(self._ends(change.writer, now), now)
                if run.due:  # first the key: without it nothing is erased
                    key = self._signature.key_with(change.writer.protection.vault)
                    erasure = ReceiptedErasure(self._session, key)
                people += [erasure.erase(change, due.speaker) for due in run.due]
                decisions = self._forget_decisions(change.writer, now)
        except ErasureIncomplete as error:
            remains = error.remains
        receipts = tuple(
            erasure.receipt(person, remains, rule=due.rule)
            for person, due in zip(people, run.due, strict=True)
        )
        if self._session.config.privacy.learn_again:
            try:
                Adaptations(self._session).learn_again()
            except VoiceIDError as error:  # the next run tries again
                self._session.notify(f"adaptations were not learned again: {error.message}")
        return replace(run, decisions=decisions, receipts=receipts)

    def _forget_decisions(self, writer: Writer, now: datetime) -> int:
        days = self._session.config.privacy.retention.decisions_days
        if days is None:
            return 0
        return writer.audit.forget_decisions((now - timedelta(days=days)).isoformat())

    def run_of_the_night(self) -> RetentionRun | None:
        """Make today's run, unless another service over this gallery made it: then return None.

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
        """Return the due erasures, the earliest rule of each speaker, by date."""
        rules, used = self._session.config.privacy, reader.retention.last_used()
        due = []
        for page in reader.speakers.pages():
            for speaker in page:
                ends = list(rules.ends(speaker, used.get(speaker.id), now))
                if ends:
                    rule, due_at = min(ends, key=lambda end: end[1])
                    due.append(DueErasure(speaker, rule, due_at))
        return sorted(due, key=lambda erasure: (erasure.due_at, erasure.speaker.name))


def _run(ends: Sequence[DueErasure], now: datetime) -> RetentionRun:
    """Return the erasures that are due now, and the upcoming ones."""
    due = tuple(erasure for erasure in ends if erasure.due_at <= now)
    upcoming = tuple(erasure for erasure in ends if now < erasure.due_at <= now + _UPCOMING)
    return RetentionRun(due, upcoming, dry_run=False)

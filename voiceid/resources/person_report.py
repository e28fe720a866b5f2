"""The stored data of one person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from voiceid.decision.embeddings import to_base64
from voiceid.domain import Backup, DueErasure, Sample, Speaker
from voiceid.domain.audit_chain import DECISION
from voiceid.domain.code_words import SpokenWords
from voiceid.resources.erased_person import backups_with, learned_from
from voiceid.resources.events import events_about
from voiceid.session import Session

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

_CHAIN = "the audit chain"
_NOT_RECORDED = f"{_CHAIN}, decisions not recorded"


@dataclass(frozen=True, slots=True, eq=False)
class PersonReport:
    """The stored data of one person.

    Parameters
    ----------
    speaker : Speaker
        Name, groups, metadata, expiry and consents.
    samples : sequence of Sample
        What was enrolled, of all embedding spaces.
    words : SpokenWords or None
        The words of which codes are made: of each, features of its recordings are kept.
    codes : sequence of mapping
        Spoken codes that were not answered: who asked, and when each expires; not its words.
    recordings : sequence of mapping
        Kept recordings: hash, file and size in bytes.
    fingerprints : sequence of mapping
        Of what was enrolled and accepted: which of the two, when, and until when it is kept.
    attempts : sequence of mapping
        Failed attempts to be accepted as the person.
    jobs, answers : sequence of mapping
        Of a service: jobs and kept answers that have the name.
    uses : sequence of mapping
        Events about the person, oldest first; of ``days`` days.  ``from`` says which of the
        sources has it: one that is kept twice is there twice.
    uses_from : sequence of str
        The file of events, if the settings name one; the audit chain, and if it gets decisions.
    last_used_on : str or None
        The day of the last acceptance, where a rule of retention needs it.
    due : sequence of DueErasure
        When the person is erased, by each rule that does.
    backups : sequence of Backup
        Backups that were made since the enrolment.
    learned : sequence of mapping
        Calibrations and adaptations that were learned from the person, or may have been.
    made_at : datetime
        UTC.
    """

    speaker: Speaker
    samples: Sequence[Sample]
    words: SpokenWords | None
    codes: Sequence[Mapping[str, Any]]
    recordings: Sequence[Mapping[str, Any]]
    fingerprints: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    jobs: Sequence[Mapping[str, Any]]
    answers: Sequence[Mapping[str, Any]]
    uses: Sequence[Mapping[str, Any]]
    uses_from: Sequence[str]
    days: int
    last_used_on: str | None
    due: Sequence[DueErasure]
    backups: Sequence[Backup]
    learned: Sequence[Mapping[str, Any]]
    made_at: datetime

    def to_dict(self, *, vectors: bool = False) -> dict[str, Any]:
        """Return the report, ready for JSON; ``vectors``: with the samples' vectors, in base64."""
        return {
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "speaker": self.speaker.to_dict(),
            "samples": [
                sample.to_dict() | ({"vector": to_base64(sample.vector)} if vectors else {})
                for sample in self.samples
            ],
            "words": None if self.words is None else self.words.to_dict(),
            "codes": list(self.codes),
            "recordings": list(self.recordings),
            "fingerprints": list(self.fingerprints),
            "attempts": list(self.attempts),
            "jobs": list(self.jobs),
            "answers": list(self.answers),
            "uses": {"days": self.days, "from": list(self.uses_from), "events": list(self.uses)},
            "last_used_on": self.last_used_on,
            "due": [{"rule": due.rule, "due_at": due.due_at.isoformat()} for due in self.due],
            "backups": [backup.to_dict() for backup in self.backups],
            "learned": list(self.learned),
        }


def person_report(session: Session, name: str, days: int) -> PersonReport:
    """Return all stored data of a person; raises SpeakerNotFound."""
    log, now = session.config.log_file, datetime.now(UTC)
    oldest = now - timedelta(days=days)
    sources = [] if log is None else [str(log)]
    with session.store.read() as reader:
        speaker = reader.speakers.get(name)
        words = reader.spoken.of(speaker.id)
        samples = reader.samples.of(speaker.id)
        since = reader.retention.last_used().get(speaker.id)
        ends = session.config.privacy.ends(speaker, since, now)
        uses = [{**event, "from": str(log)} for event in events_about(log, speaker.id, oldest)]
        uses += _recorded(reader, speaker.id, oldest)
        sources.append(_CHAIN if session.config.audit.record == "all" else _NOT_RECORDED)
        return PersonReport(
            speaker=speaker,
            samples=samples,
            words=None if words is None else SpokenWords(speaker.name, words.words, words.rounds),
            codes=reader.mentions.codes(speaker.name),
            recordings=list(_recordings(session, samples)),
            fingerprints=reader.fingerprints.summary(speaker.id),
            attempts=reader.mentions.attempts(speaker.name),
            jobs=reader.mentions.jobs(speaker.name),
            answers=reader.mentions.answers(speaker.name),
            uses=sorted(uses, key=lambda event: str(event["time"])),
            uses_from=tuple(sources),
            days=days,
            last_used_on=since.date().isoformat() if since else None,
            due=[DueErasure(speaker, rule, at) for rule, at in ends],
            backups=backups_with(reader, speaker),
            learned=learned_from(reader, speaker, again=session.config.privacy.learn_again),
            made_at=now,
        )


def _recorded(reader: Reader, speaker_id: int, oldest: datetime) -> Iterator[dict[str, Any]]:
    """Yield the events of the audit chain about a person, in the form of the event file."""
    after = 0
    while page := reader.audit.page(after, since=oldest.isoformat(), speaker_id=speaker_id):
        after = page[-1].number
        for row in page:
            if row.content is not None:
                kind = {"event": row.kind} if row.kind == DECISION else {"kind": row.kind}
                yield {"time": row.time, **kind, **(row.facts or {}), "from": _CHAIN}


def _recordings(session: Session, samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    audio = session.kept_audio
    for digest in dict.fromkeys(sample.pcm_sha256 for sample in samples):
        path = audio.path(digest)
        if path.is_file():
            yield {"pcm_sha256": digest, "file": str(path), "bytes": path.stat().st_size}

"""How long a speaker is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voiceid.domain.receipts import Receipt
from voiceid.domain.speaker import Speaker, consent_end
from voiceid.domain.values import Value, json_of

_LAST = datetime.max.replace(tzinfo=UTC)
"""No time ends later, however far away the date is that it is counted from."""


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """After how many days a speaker, or what was decided, is erased; None: not by that rule.

    - `max_age_days`: since the enrolment.
    - `unused_days`: since the last acceptance, or the enrolment.
    - `after_consent_end_days`: since the last consent ended.
    - `decisions_days`: the content of decisions in the audit chain, since they were made.
    """

    max_age_days: int | None = None
    unused_days: int | None = None
    after_consent_end_days: int | None = None
    decisions_days: int | None = None


@dataclass(frozen=True, slots=True)
class PrivacyOptions:
    """How long speakers are kept, and when a service looks.

    - `erase_withdrawn_after_days`: after a withdrawal; 0: at once.
    - `run_at_h`: the hour, in UTC, of a service's run each night; None: it makes none.
    - `learn_again`: a run removes adaptations that were learned from speakers who are gone, and
      learns the one in use again from those who remain.
    - `receipts`: the folder into which a run writes the receipts of its erasures; None: none.
    """

    erase_withdrawn_after_days: int = 30
    retention: RetentionRules = field(default_factory=RetentionRules)
    run_at_h: int | None = 3
    learn_again: bool = False
    receipts: Path | None = None

    def ends(
        self, speaker: Speaker, last_used: datetime | None, now: datetime
    ) -> Iterator[tuple[str, datetime]]:
        """Yield each rule that ends the time of a speaker, and when it does.

        ``last_used`` is of the last acceptance; None: it is not known.  What happened cannot be
        later than the speaker's last change, or than now: a clock was wrong.
        """
        latest = min(speaker.updated_at, now)
        withdrawn = speaker.withdrawn_at and min(speaker.withdrawn_at, latest)
        consent_over = consent_end(speaker.consents)
        dated = {
            "withdrawn": (withdrawn, self.erase_withdrawn_after_days),
            "max_age_days": (min(speaker.created_at, latest), self.retention.max_age_days),
            "unused_days": (last_used, self.retention.unused_days),
            "after_consent_end_days": (consent_over, self.retention.after_consent_end_days),
        }
        for rule, (since, days) in dated.items():
            if since is not None and days is not None:
                yield rule, since + min(timedelta(days=days), _LAST - since)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal of consent came to.

    Parameters
    ----------
    speaker : Speaker
        Disabled since then.
    erase_at : datetime
        From when the speaker is due to be erased, UTC.
    receipt : Receipt or None
        Of the erasure, where that was done at once.
    """

    speaker: Speaker
    erase_at: datetime
    receipt: Receipt | None

    @property
    def erased(self) -> bool:
        """Whether the speaker is erased already."""
        return self.receipt is not None

    def to_dict(self) -> dict[str, object]:
        """Return the fields, ready for JSON."""
        return json_of(self, erased=self.erased)


@dataclass(frozen=True, slots=True)
class DueErasure(Value):
    """A speaker whose time ends: when, and by which rule."""

    speaker: Speaker
    rule: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class RetentionRun(Value):
    """What a run of the rules erased, and what will go next.

    Parameters
    ----------
    due : tuple of DueErasure
        Erased by the run, or, of a dry run, what it would erase.
    upcoming : tuple of DueErasure
        What will be due in the 30 days that follow, by date.
    dry_run : bool
        Whether nothing was changed.
    decisions : int
        Of how many decisions in the audit chain the content was erased.
    receipts : tuple of Receipt
        Of the erasures, in the order of ``due``.
    """

    due: tuple[DueErasure, ...]
    upcoming: tuple[DueErasure, ...]
    dry_run: bool
    decisions: int = 0
    receipts: tuple[Receipt, ...] = ()

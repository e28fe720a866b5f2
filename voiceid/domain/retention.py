"""The rules for how long speakers are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voiceid.domain.receipts import Receipt
from voiceid.domain.speaker import Speaker, consent_end
from voiceid.domain.values import Value, json_of

_LAST = datetime.max.replace(tzinfo=UTC)
"""The latest end of any time."""


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """After how many days a speaker, or a decision, is erased; None: not by that rule.

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
    """How long speakers are kept, and when a service applies the rules.

    - `erase_withdrawn_after_days`: after a withdrawal; 0: at once.
    - `run_at_h`: the hour, in UTC, of a service's run each night; None: no run.
    - `learn_again`: a run removes adaptations that were learned from erased speakers, and learns
      the one in use again from the others.
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
        """Yield each rule that ends the time of a speaker, and the time of its end.

        ``last_used`` is the time of the last acceptance; None: not known.  A time later than the
        speaker's last change or than now is not used: a clock was wrong.
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
    """The result of a withdrawal of consent.

    Parameters
    ----------
    speaker : Speaker
        Disabled since then.
    erase_at : datetime
        When the speaker is due to be erased, UTC.
    receipt : Receipt or None
        Of the erasure, if it was done at once.
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
    """The erasures of a run of the rules, and those that are due next.

    Parameters
    ----------
    due : tuple of DueErasure
        Erased by the run, or, in a dry run, those it would erase.
    upcoming : tuple of DueErasure
        Those due in the next 30 days, by date.
    dry_run : bool
        Whether nothing was changed.
    decisions : int
        The number of decisions in the audit chain whose content was erased.
    receipts : tuple of Receipt
        Of the erasures, in the order of ``due``.
    """

    due: tuple[DueErasure, ...]
    upcoming: tuple[DueErasure, ...]
    dry_run: bool
    decisions: int = 0
    receipts: tuple[Receipt, ...] = ()

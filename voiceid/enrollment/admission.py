"""The checks of a person, beside the clips: the name, and a consent in force."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voiceid.domain import EnrollmentProblem, Speaker, is_consented
from voiceid.enrollment.checks import EnrollmentLimits
from voiceid.enrollment.clips import Person
from voiceid.errors import ConsentMissing

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Writer


def check_name(reader: Reader, speaker: Speaker | None, name: str) -> Iterator[EnrollmentProblem]:
    """Check that a new name does not look like another; ``speaker`` is None for a new name."""
    if speaker is None and (other := reader.speakers.look_alikes([name]).get(name)):
        message = f"the name looks like the enrolled {other!r}, in other letters"
        yield EnrollmentProblem("look_alike", None, message, overridable=True)


def check_consent(
    before: Speaker | None, person: Person, limits: EnrollmentLimits
) -> Iterator[EnrollmentProblem]:
    """Yield a problem if no consent is in force: one is needed, was withdrawn, or has ended."""
    consents = (*(() if before is None else before.consents), *person.details.consents)
    has_one = is_consented(consents, datetime.now(UTC))
    if not has_one or (limits.require_consent and not consents):
        message = f"no consent of {person.name} is in force: record one (--consent VERSION)"
        yield EnrollmentProblem("no_consent", None, message, overridable=False)


def require_consents(limits: EnrollmentLimits, writer: Writer) -> None:
    """Raise ConsentMissing if the settings require consents, and an enrolled speaker has none.

    Every way to add a voice to the gallery calls this.
    """
    if not (limits.require_consent and writer.effects.enrolled):
        return
    if names := writer.speakers.unconsented(writer.effects.enrolled, writer.now):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise ConsentMissing(
            f"no consent of {names[0]}{more} is in force; nothing was changed",
            hint="Record it: --consent VERSION, or `voiceid speakers edit NAME --consent VERSION`.",
        )

"""A person's consent in a request."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from voiceid.domain import Consent, expiry
from voiceid.errors import SpeakerDetailInvalid
from voiceid.server.callers import Caller
from voiceid.server.request_clips import Options, Texts

Expiry = Annotated[datetime, BeforeValidator(lambda value: expiry(str(value)))]
"""A date, a time, or days from now: 90d."""


class ConsentFields(Options):
    """The fields of a consent; the caller is recorded as its recorder."""

    consent: str | None = Field(
        None, description="The version of the text that the person agreed to, e.g. 2026-03."
    )
    purpose: Texts = Field((), description="The purposes of the consent, e.g. door.")
    until: Expiry | None = Field(None, description="When the consent ends: a date, a time, or 90d.")

    def consents(self, caller: Caller) -> tuple[Consent, ...]:
        """Return the consent, if any; raises SpeakerDetailInvalid."""
        if self.consent is not None:
            return (Consent(self.consent, self.purpose, self.until, recorder(caller)),)
        if self.purpose or self.until:
            raise SpeakerDetailInvalid(
                "a purpose or an end of the consent is given without the consent",
                hint="Give the version of the text that the person agreed to: `consent`.",
            )
        return ()


def recorder(caller: Caller) -> str:
    """Return the name under which a caller records; empty: the system's user."""
    return "" if caller.key is None else f"key {caller.key.id}"

"""What a person agreed to, as a request says it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from voiceid.domain import Consent, expiry
from voiceid.errors import SpeakerDetailInvalid
from voiceid.server.callers import Caller
from voiceid.server.request_clips import Texts

Expiry = Annotated[datetime, BeforeValidator(lambda value: expiry(str(value)))]
"""A date, a time, or days from now: 90d."""


class ConsentFields(BaseModel):
    """A consent; the caller is who recorded it."""

    consent: str | None = Field(
        None, description="The version of the text that the person agreed to, e.g. 2026-03."
    )
    purpose: Texts = Field((), description="What the consent is for, e.g. door; several may be.")
    until: Expiry | None = Field(None, description="When the consent ends: a date, a time, or 90d.")

    def consents(self, caller: Caller) -> tuple[Consent, ...]:
        """Return the consent, if there is one; raises SpeakerDetailInvalid."""
        if self.consent is not None:
            return (Consent(self.consent, self.purpose, self.until, recorder(caller)),)
        if self.purpose or self.until:
            raise SpeakerDetailInvalid(
                "a purpose or an end is given, and no consent",
                hint="Name the version of the text that the person agreed to: `consent`.",
            )
        return ()


def recorder(caller: Caller) -> str:
    """Return by what name a caller records something; empty: the user of the system."""
    return "" if caller.key is None else f"key {caller.key.id}"

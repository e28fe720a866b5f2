"""The nightly run of retention rules: one of several services over a gallery does it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from anyio import sleep, to_thread

from voiceid.errors import VoiceIDError
from voiceid.server.service_parts import ServiceParts

_FIRST_S, _LOOK_S = 60.0, 900.0


async def run_nightly(parts: ServiceParts) -> None:
    """Run the rules of retention at the hour of the settings, or later if no service did."""
    vid, done = parts.vid, None
    hour = vid.privacy.run_at_h
    if hour is None:
        return
    await sleep(_FIRST_S)  # time to stop a service that was started with wrong settings
    while True:
        now = datetime.now(UTC)
        if now.hour >= hour and now.date() != done:
            with suppress(VoiceIDError):  # already logged and counted; the next night tries again
                await to_thread.run_sync(vid.privacy.run_of_the_night)
            done = now.date()
        midnight = datetime.combine(now.date(), datetime.min.time(), UTC)
        due_s = (midnight + timedelta(days=1) - now).total_seconds()
        await sleep(min(_LOOK_S, max(due_s, 1.0)))

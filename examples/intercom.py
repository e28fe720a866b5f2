"""Intercoms that open for the voices of one group, while they speak.

    python examples/intercom.py HOME GROUP ADDRESS...

Each address is heard for as long as the program runs: ``rtsp://...``, ``http://...``, ``mic``, or a
file, to try it.  A door opens on one path only: a decision that is an acceptance.  A recording
sounds like its speaker: let something else than the voice open what matters.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from voiceid import LiveEvent, LiveEventKind, SpeakerNotFound, VoiceID, VoiceIDError
from voiceid.domain import tag

log = logging.getLogger("intercom")


def opens(event: LiveEvent) -> str | None:
    """Return who may enter by an event, or None."""
    decision = event.decision
    if event.kind is not LiveEventKind.DECISION or decision is None:
        return None
    return decision.speaker.name if decision.accepted and decision.speaker is not None else None


async def attend(vid: VoiceID, group: str, address: str) -> None:
    """Hear one intercom until its sound ends, which that of a stream never does."""
    async with vid.listen(address, group=group) as stream:
        async for event in stream:
            log.info("%s: %s", address, event.to_dict())
            if (name := opens(event)) is not None:
                print(f"{address}: open for {name} at {event.at_s:.1f} s", flush=True)


async def attend_all(home: str, group: str, addresses: list[str]) -> None:
    """Hear all intercoms at once."""
    with VoiceID.open(home=home) as vid:
        if tag("group", group) not in (there := vid.speakers.group_sizes()):
            hint = f"There are: {', '.join(there) or 'no groups'}."
            raise SpeakerNotFound(f"no speaker is in the group {group}", hint=hint)
        vid.warm_up()
        await asyncio.gather(*(attend(vid, group, address) for address in addresses))


def main(home: str, group: str, *addresses: str) -> int:
    """Return 0 when all sound has ended, and an error's code when one cannot be heard."""
    try:
        asyncio.run(attend_all(home, group, list(addresses)))
    except VoiceIDError as error:
        log.error("%s (%s)", error, error.hint)  # noqa: TRY400 - no trace at a door
        return error.exit_code
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))

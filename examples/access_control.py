"""A door that opens for one voice, and stays shut for everything else.

    python examples/access_control.py HOME NAME CLIP

It fails closed: the door opens on one path only, at the end of `may_enter`, and every
error, every doubt and every answer that is not an acceptance of the claimed person leads
elsewhere.  Voice alone proves little (a recording sounds like its speaker): use this as a
second factor, beside a card or a code.
"""

from __future__ import annotations

import logging
import sys

from voiceid import AudioError, Outcome, VoiceID, VoiceIDError

log = logging.getLogger("door")


class Door:
    """The lock's relay; a real one sets a pin for three seconds."""

    def open(self, name: str) -> None:
        """Let ``name`` in."""
        print(f"door: open for {name}")

    def stay_shut(self, why: str) -> None:
        """Say at the door what to do, and no name."""
        print(f"door: shut ({why})")


def may_enter(vid: VoiceID, claimed: str, clip: str) -> tuple[bool, str]:
    """Return whether ``claimed``, known from a card, is the voice in the clip, and why.

    Speakers are compared by id: a name may be written in several ways.
    """
    try:
        expected = vid.speakers.get(claimed)
        decision = vid.verify(claimed, clip)
    except AudioError as error:
        log.warning("unusable recording: %s", error)
        return False, "please speak again"
    except VoiceIDError as error:
        log.error("no decision: %s (%s)", error, error.hint)  # noqa: TRY400 - no trace at a door
        return False, "please call the desk"
    log.info("%s", decision.to_dict())
    if decision.outcome is Outcome.INCONCLUSIVE:
        return False, "please speak longer"
    if not decision.accepted or decision.speaker is None or decision.speaker.id != expected.id:
        return False, "voice not recognised"
    return True, "welcome"


def main(home: str, claimed: str, clip: str) -> int:
    """Ask once; return 0 only when the door was opened."""
    door = Door()
    try:
        with VoiceID.open(home=home) as vid:
            allowed, why = may_enter(vid, claimed, clip)
    except Exception:  # a door has no caller above it that could do better
        log.exception("no decision")
        allowed, why = False, "please call the desk"
    if allowed:
        door.open(claimed)
        return 0
    door.stay_shut(why)
    return 10


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    log.setLevel(logging.INFO)  # of the door alone: libraries have much to say
    if len(sys.argv) != 4:
        print("usage: python examples/access_control.py HOME NAME CLIP", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))

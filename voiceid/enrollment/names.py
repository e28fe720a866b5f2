"""What can speak against the name of a new speaker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from voiceid.domain import EnrollmentProblem, Speaker

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.reader import Reader


def check_name(reader: Reader, speaker: Speaker | None, name: str) -> Iterator[EnrollmentProblem]:
    """Check that a new name passes for no other; ``speaker`` is None when the name is new."""
    if speaker is None and (other := reader.speakers.look_alikes([name]).get(name)):
        message = f"the name looks like the enrolled {other!r}, in other letters"
        yield EnrollmentProblem("look_alike", None, message, overridable=True)

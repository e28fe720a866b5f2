"""Pages of the enrolled speakers: the list, one speaker, editing and removing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.responses import Response

from voiceid.domain import Sample, Scope, Speaker, SpeakerDetails, expiry, tag
from voiceid.errors import (
    SpaceMismatch,
    SpeakerDetailInvalid,
    SpeakerNotFound,
    ThresholdUnavailable,
)
from voiceid.server.callers import reached_speaker
from voiceid.server.console.visits import Looking, Managing, PageRoute, Sent, Visiting, written
from voiceid.server.speaker_routes import members

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 25
_FIRST_PAGES = {Scope.ENROLL: "/enroll", Scope.IDENTIFY: "/try", Scope.VERIFY: "/try"}
"""The first page of a person who may not see the speakers."""


@dataclass(frozen=True, slots=True)
class Row:
    """A speaker in the list, with the quality of the samples."""

    speaker: Speaker
    samples: tuple[Sample, ...]

    @property
    def warnings(self) -> dict[str, int]:
        """The number of samples with each warning."""
        codes = [code for sample in self.samples for code in sample.quality.warnings]
        return {code: codes.count(code) for code in dict.fromkeys(codes)}

    @property
    def snr_db(self) -> float | None:
        """The SNR of the noisiest sample."""
        levels = [s.quality.snr_db for s in self.samples if s.quality.snr_db is not None]
        return min(levels, default=None)


@ROUTES.get("/")
def speakers(
    visit: Visiting, after: str | None = None, find: str = "", group: str = ""
) -> Response:
    """List the speakers that the person reaches, a page at a time."""
    for scope, path in _FIRST_PAGES.items():
        if not visit.person.may(Scope.READ) and visit.person.may(scope):
            return visit.go(path)
    visit.person.require(Scope.READ)
    if find.strip():
        with suppress(SpeakerNotFound):
            exact = reached_speaker(visit.vid, find.strip(), visit.person)
            return visit.go("/speaker", name=exact.name)
        after = find.strip()
    reached = visit.person.group(group) if group.strip() else None
    listed, _ = members(visit.vid, after, _PAGE + 1, reached, visit.person)
    shown, is_all = listed[:_PAGE], not visit.person.groups and reached is None
    samples = visit.vid.samples.of(shown)
    return visit.page(
        "speakers.html",
        rows=[Row(speaker, tuple(samples[speaker.id])) for speaker in shown],
        last=shown[-1].name if len(listed) > _PAGE else None,
        after=after,
        find=find,
        group=reached or "",
        n_speakers=visit.vid.speakers.count() if is_all else None,
    )


@ROUTES.get("/speaker")
def speaker(visit: Looking, name: str) -> Response:
    """Show a speaker and the samples."""
    speaker = reached_speaker(visit.vid, name, visit.person)
    row = Row(speaker, tuple(visit.vid.samples.list(speaker.name)))
    inspection = nearest = None
    with suppress(SpaceMismatch, ThresholdUnavailable):  # another model, or no threshold
        inspection = visit.vid.speakers.inspect(speaker.name)
    if inspection is not None and inspection.nearest is not None and not visit.person.groups:
        nearest = inspection.nearest, inspection.likeness
    return visit.page(
        "speaker.html", row=row, inspection=inspection, nearest=nearest, last_day=last_day(speaker)
    )


@ROUTES.post("/speaker")
def edit(visit: Managing, name: str, fields: Sent) -> Response:
    """Change a speaker's details or name."""
    before = visit.vid.speakers.get(name)
    new_name = written(fields, "name")
    edited = visit.vid.speakers.edit(
        before.name,
        _details(before, fields),
        new_name=None if new_name == before.name else new_name,
        force="force" in fields,
    )
    return visit.go("/speaker", name=edited.name, said="saved")


def _details(before: Speaker, fields: FormData) -> SpeakerDetails:
    groups = {tag("group", g): None for g in written(fields, "groups").split(",") if g.strip()}
    metadata: dict[str, str | None] = dict.fromkeys(before.metadata)
    metadata |= _metadata(written(fields, "metadata"))
    until = written(fields, "expires")
    unchanged = until == last_day(before)
    return SpeakerDetails(
        groups=tuple(groups),
        not_groups=tuple(group for group in before.groups if group not in groups),
        metadata=metadata,
        expires_at=expiry(until) if until and not unchanged else None,
        never_expires=not until,
        enabled="enabled" in fields,
    )


def _metadata(text: str) -> Mapping[str, str]:
    metadata = {}
    for line in filter(str.strip, text.splitlines()):
        key, sign, value = line.partition("=")
        if not sign:
            raise SpeakerDetailInvalid(
                f"{line.strip()!r:.80} is not metadata", hint="Write key=value, one a line."
            )
        metadata[key.strip()] = value.strip()
    return metadata


def last_day(speaker: Speaker) -> str:
    """Return a speaker's last day or time of expiry, in the form that `expiry` reads."""
    if speaker.expires_at is None:
        return ""
    moment = speaker.expires_at.astimezone(UTC)
    is_midnight = moment == moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return str((moment - timedelta(days=1)).date()) if is_midnight else moment.isoformat()


@ROUTES.get("/speaker/remove")
def ask_removal(visit: Managing, name: str) -> Response:
    """Ask for confirmation to erase a speaker."""
    speaker = visit.vid.speakers.get(name)
    return visit.page("confirm.html", what="remove_speaker", speaker=speaker)


@ROUTES.post("/speaker/remove")
def remove(visit: Managing, name: str, _: Sent) -> Response:
    """Erase a speaker."""
    visit.vid.speakers.remove(name)
    return visit.go("/", said="removed")


@ROUTES.get("/sample/remove")
def ask_sample_removal(visit: Managing, name: str, number: int) -> Response:
    """Ask for confirmation to erase a sample."""
    speaker = visit.vid.speakers.get(name)
    return visit.page("confirm.html", what="remove_sample", speaker=speaker, number=number)


@ROUTES.post("/sample/remove")
def remove_sample(visit: Managing, name: str, number: int, _: Sent) -> Response:
    """Erase a sample of a speaker."""
    visit.vid.samples.remove(name, [number])
    return visit.go("/speaker", name=name, said="sample-removed")

"""Pages of the enrolled speakers: the list, one speaker, editing and removing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.responses import Response

from voiceid.client import VoiceID
from voiceid.domain import Inspection, Sample, Scope, Speaker, SpeakerDetails, expiry, tag
from voiceid.errors import (
    SpaceMismatch,
    SpeakerDetailInvalid,
    SpeakerNotFound,
    ThresholdUnavailable,
)
from voiceid.server.callers import Caller, reached_speaker
from voiceid.server.console.visits import Looking, Managing, PageRoute, Visit, Visiting
from voiceid.server.speaker_routes import members

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 25
_FIRST_PAGES = {Scope.ENROLL: "/enroll", Scope.IDENTIFY: "/try", Scope.VERIFY: "/try"}
"""Where a person begins who may not see the speakers."""


@dataclass(frozen=True, slots=True)
class Row:
    """A speaker in the list, and what the samples are worth."""

    speaker: Speaker
    samples: tuple[Sample, ...]

    @property
    def warnings(self) -> dict[str, int]:
        """How many samples have each warning."""
        found = [code for sample in self.samples for code in sample.quality.warnings]
        return {code: found.count(code) for code in dict.fromkeys(found)}

    @property
    def snr_db(self) -> float | None:
        """That of the noisiest sample."""
        levels = [s.quality.snr_db for s in self.samples if s.quality.snr_db is not None]
        return min(levels, default=None)


@ROUTES.get("/")
async def speakers(
    visit: Visiting, after: str | None = None, find: str = "", group: str = ""
) -> Response:
    """List the speakers that the person reaches, a page at a time."""
    for scope, path in _FIRST_PAGES.items():
        if not visit.person.may(Scope.READ) and visit.person.may(scope):
            return visit.go(path)
    visit.person.require(Scope.READ)
    if find.strip():
        found = await to_thread.run_sync(_found, visit.vid, find.strip(), visit.person)
        if found is not None:
            return visit.go("/speaker", name=found)
        after = find.strip()
    wanted = visit.person.group(group) if group.strip() else None
    rows, last, n_speakers = await to_thread.run_sync(_rows, visit.vid, after, wanted, visit.person)
    return visit.page(
        "speakers.html",
        rows=rows,
        last=last,
        after=after,
        find=find,
        group=wanted or "",
        n_speakers=n_speakers,
    )


def _found(vid: VoiceID, name: str, caller: Caller) -> str | None:
    try:
        return reached_speaker(vid, name, caller).name
    except SpeakerNotFound:
        return None


def _rows(
    vid: VoiceID, after: str | None, group: str | None, caller: Caller
) -> tuple[list[Row], str | None, int | None]:
    """Return a page of speakers, after which name the next begins, and how many there are."""
    found, _ = members(vid, after, _PAGE + 1, group, caller)
    shown = found[:_PAGE]
    samples = vid.samples.of(shown)
    last = shown[-1].name if len(found) > _PAGE else None
    count = vid.speakers.count() if not caller.groups and group is None else None
    return [Row(speaker, tuple(samples[speaker.id])) for speaker in shown], last, count


@ROUTES.get("/speaker")
async def speaker(visit: Looking, name: str) -> Response:
    """Show a speaker and the samples."""
    return await to_thread.run_sync(_shown, visit, name)


def _shown(visit: Visit, name: str) -> Response:
    found = reached_speaker(visit.vid, name, visit.person)
    row = Row(found, tuple(visit.vid.samples.list(found.name)))
    inspection = _inspection(visit.vid, found.name)
    nearest = None
    if inspection is not None and inspection.nearest is not None and not visit.person.groups:
        nearest = inspection.nearest, inspection.likeness
    return visit.page(
        "speaker.html", row=row, inspection=inspection, nearest=nearest, last_day=last_day(found)
    )


def _inspection(vid: VoiceID, name: str) -> Inspection | None:
    try:
        return vid.speakers.inspect(name)
    except (SpaceMismatch, ThresholdUnavailable):  # of another model, or without a threshold
        return None


@ROUTES.post("/speaker")
async def edit(visit: Managing, name: str) -> Response:
    """Change what is known of a speaker beside the voice, or the name."""
    fields = await visit.form()

    def edited() -> str:
        before = visit.vid.speakers.get(name)
        wanted = str(fields.get("name", "")).strip()
        return visit.vid.speakers.edit(
            before.name,
            _details(before, fields),
            new_name=None if wanted == before.name else wanted,
            force="force" in fields,
        ).name

    return visit.go("/speaker", name=await to_thread.run_sync(edited), said="saved")


def _details(before: Speaker, fields: FormData) -> SpeakerDetails:
    groups = {tag("group", g): None for g in str(fields.get("groups", "")).split(",") if g.strip()}
    metadata: dict[str, str | None] = dict.fromkeys(before.metadata)
    metadata |= _metadata(str(fields.get("metadata", "")))
    until = str(fields.get("expires", "")).strip()
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
    found = {}
    for line in filter(str.strip, text.splitlines()):
        key, sign, value = line.partition("=")
        if not sign:
            raise SpeakerDetailInvalid(
                f"{line.strip()!r:.80} is not metadata", hint="Write key=value, one a line."
            )
        found[key.strip()] = value.strip()
    return found


def last_day(speaker: Speaker) -> str:
    """Return the last day of a speaker, or the moment of the expiry, as `expiry` reads it."""
    if speaker.expires_at is None:
        return ""
    moment = speaker.expires_at.astimezone(UTC)
    is_midnight = moment == moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return str((moment - timedelta(days=1)).date()) if is_midnight else moment.isoformat()


@ROUTES.get("/speaker/remove")
async def ask_removal(visit: Managing, name: str) -> Response:
    """Ask whether a speaker is to be erased."""
    found = await to_thread.run_sync(visit.vid.speakers.get, name)
    return _asked(visit, "remove_speaker", speaker=found, back=found)


@ROUTES.post("/speaker/remove")
async def remove(visit: Managing, name: str) -> Response:
    """Erase a speaker."""
    await visit.form()
    await to_thread.run_sync(visit.vid.speakers.remove, name)
    return visit.go("/", said="removed")


@ROUTES.get("/sample/remove")
async def ask_sample_removal(visit: Managing, name: str, number: int) -> Response:
    """Ask whether a sample is to be erased."""
    found = await to_thread.run_sync(visit.vid.speakers.get, name)
    return _asked(visit, "remove_sample", speaker=found, number=number, back=found)


@ROUTES.post("/sample/remove")
async def remove_sample(visit: Managing, name: str, number: int) -> Response:
    """Erase a sample of a speaker."""
    await visit.form()
    await to_thread.run_sync(visit.vid.samples.remove, name, [number])
    return visit.go("/speaker", name=name, said="sample-removed")


def _asked(visit: Visit, what: str, **facts: Any) -> Response:
    return visit.page("confirm.html", status=HTTPStatus.OK, what=what, **facts)

"""All pages of the console."""

from __future__ import annotations

from fastapi import APIRouter

from voiceid.server.console import (
    accuracy_pages,
    attempt_pages,
    challenge_pages,
    diarization_pages,
    evaluation_pages,
    group_pages,
    job_pages,
    key_pages,
    sign_in_pages,
    speaker_pages,
    voice_pages,
)

PAGES = APIRouter()
for pages in (
    sign_in_pages,
    speaker_pages,
    group_pages,
    voice_pages,
    challenge_pages,
    diarization_pages,
    accuracy_pages,
    evaluation_pages,
    job_pages,
    attempt_pages,
    key_pages,
):
    PAGES.include_router(pages.ROUTES)

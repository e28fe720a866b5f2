"""All pages of the console."""

from __future__ import annotations

from fastapi import APIRouter

from voiceid.server.console import (
    access_pages,
    accuracy_pages,
    challenge_pages,
    group_pages,
    job_pages,
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
    accuracy_pages,
    job_pages,
    access_pages,
):
    PAGES.include_router(pages.ROUTES)

"""All pages of the console."""

from __future__ import annotations

from fastapi import APIRouter

from voiceid.server.console import (
    accuracy_pages,
    diarization_pages,
    key_pages,
    sign_in_pages,
    speaker_pages,
    voice_pages,
)

PAGES = APIRouter()
for pages in (
    sign_in_pages,
    speaker_pages,
    voice_pages,
    diarization_pages,
    accuracy_pages,
    key_pages,
):
    PAGES.include_router(pages.ROUTES)

"""Templates made into answers, and the headers that guard them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from voiceid.decision.rule import percent
from voiceid.server.console.wording import JOBS, REASONS, SCOPES, WARNINGS

_FOLDER = Path(__file__).parent
_TYPES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "console.svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_GUARDS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def guard(response: Response) -> Response:
    """Return an answer with the headers by which a browser protects the console."""
    for name, value in _GUARDS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def html(template: str, **facts: Any) -> str:
    """Return a template filled in; what comes from outside is escaped."""
    return _environment().get_template(template).render(facts)


def asset(name: str) -> Response | None:
    """Return a file of the pages, or None."""
    if name not in _TYPES:
        return None
    answer = Response(_assets()[name], media_type=_TYPES[name])
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"  # by its address
    return answer


@cache
def _assets() -> dict[str, bytes]:
    return {name: (_FOLDER / "static" / name).read_bytes() for name in _TYPES}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    version = hashlib.sha256(b"".join(_assets().values())).hexdigest()[:12]
    environment.filters.update(
        day=_day, seconds=_seconds, clock=_clock, db=_db, score=_score, percent=percent
    )
    environment.globals.update(
        version=version,
        reasons=REASONS,
        warnings=WARNINGS,
        scopes_in_words=SCOPES,
        jobs_in_words=JOBS,
    )
    return environment


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"  # noqa: RUF001 - nothing was measured


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def _db(level: float | None) -> str:
    return "–" if level is None else f"{level:.0f} dB"  # noqa: RUF001


def _score(score: float | None) -> str:
    return "–" if score is None else f"{score:.3f}".replace("-", "−")  # noqa: RUF001

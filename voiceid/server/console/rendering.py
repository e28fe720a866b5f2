"""Rendering of templates, and the security headers of pages."""

from __future__ import annotations

import hashlib
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from voiceid.decision.rule import percent
from voiceid.server.console.wording import JOBS, REASONS, SCOPES, WARNINGS

_FOLDER = Path(__file__).parent
_NOTHING = "–"  # noqa: RUF001 - nothing was measured
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
    """Return an answer with the security headers of the console."""
    for name, value in _GUARDS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def html(template: str, **facts: Any) -> str:
    """Return a rendered template; values are escaped."""
    return _environment().get_template(template).render(facts)


def asset(name: str) -> Response | None:
    """Return a file of the pages, or None."""
    if name not in _TYPES:
        return None
    answer = Response(_assets()[name], media_type=_TYPES[name])
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"  # versioned
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
        day=lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        seconds=lambda value: _NOTHING if value is None else f"{value:.1f} s",
        clock=lambda value: f"{int(value) // 60}:{int(value) % 60:02}",
        db=lambda level: _NOTHING if level is None else f"{level:.0f} dB",
        score=lambda score: _NOTHING if score is None else f"{score:.3f}".replace("-", "−"),  # noqa: RUF001
        percent=percent,
        sentence=lambda text: f"{text[:1].upper()}{text[1:]}.",
    )
    environment.globals.update(
        version=version,
        reasons=REASONS,
        warnings=WARNINGS,
        scopes_in_words=SCOPES,
        jobs_in_words=JOBS,
    )
    return environment

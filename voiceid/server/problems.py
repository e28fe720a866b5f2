"""Errors as problem documents (RFC 9457), with voiceid's code and hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from voiceid import errors
from voiceid.errors import LockedOut, VoiceIDError

MEDIA_TYPE = "application/problem+json"

_STATUS: Mapping[type[VoiceIDError], HTTPStatus] = {
    errors.AudioTooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.AudioError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.SpaceMismatch: HTTPStatus.CONFLICT,
    errors.ThresholdUnavailable: HTTPStatus.CONFLICT,
    errors.ModelUnknown: HTTPStatus.NOT_FOUND,
    errors.ModelError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.EnrollmentRefused: HTTPStatus.CONFLICT,
    errors.SpeakerNotFound: HTTPStatus.NOT_FOUND,
    errors.SampleNotFound: HTTPStatus.NOT_FOUND,
    errors.FitNotFound: HTTPStatus.NOT_FOUND,
    errors.ApiKeyNotFound: HTTPStatus.NOT_FOUND,
    errors.SpeakerExists: HTTPStatus.CONFLICT,
    errors.ChangeRefused: HTTPStatus.CONFLICT,
    errors.ConsentMissing: HTTPStatus.CONFLICT,
    errors.FitRefused: HTTPStatus.CONFLICT,
    errors.ErasureIncomplete: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.FileNotWritten: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.AccessDenied: HTTPStatus.UNAUTHORIZED,
    errors.LockedOut: HTTPStatus.TOO_MANY_REQUESTS,
    errors.StoreBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreReadOnly: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.StoreError: HTTPStatus.INTERNAL_SERVER_ERROR,
    VoiceIDError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""The status by error class; the most specific class of an error counts."""
_BUSY_RETRY_S = 1


class Problem(Exception):
    """A request that cannot be answered, for a reason of the service itself.

    - `code`: stable, for machines, as the class name of an error is.
    - `retry_after_s`: when the request may be repeated.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint
        self.retry_after_s = retry_after_s


_SAID = {"missing": "the value is missing", "extra_forbidden": "there is no such option"}
"""Replacements for Pydantic's messages, by error type."""

ERRORS = (Problem, VoiceIDError, HTTPException, RequestValidationError)
"""The errors that a route may raise."""


def denied(detail: str, hint: str) -> Problem:
    """Return the problem for a known caller without the right."""
    return Problem(HTTPStatus.FORBIDDEN, "AccessDenied", detail, hint=hint)


def invalid(detail: str, hint: str = "") -> Problem:
    """Return the problem for an invalid request."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "RequestInvalid", detail, hint=hint)


def invalid_values(faults: Iterable[Any]) -> Problem:
    """Return the problem for invalid values, each named."""
    return invalid(
        "; ".join(
            f"{'.'.join(map(str, err['loc'])) or 'the body'}: {_SAID.get(err['type'], err['msg'])}"
            + (f", and {len(value)} were given" if isinstance(value := err["input"], list) else "")
            for err in faults
        )
    )


def busy(detail: str, hint: str, retry_after_s: float | None = None) -> Problem:
    """Return the problem for a request without a free place."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return Problem(status, "ServiceBusy", detail, hint=hint, retry_after_s=retry_after_s)


@contextmanager
def keeping() -> Iterator[None]:
    """Raise Problem if received recordings cannot be stored until they are heard."""
    try:
        yield
    except OSError as error:
        raise Problem(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "UploadNotKept",
            f"the recordings cannot be stored: {error.strerror}",
            hint="Free some space in the data folder of the service, and in its folder for"
            " temporary files (TMPDIR).",
        ) from error


def problem_of(error: Exception) -> Problem:
    """Return the problem document's content for one of `ERRORS`."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return invalid_values(error.errors())
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        code = "".join(word.capitalize() for word in status.name.split("_"))
        hint = "/openapi.json describes all requests."
        return Problem(status, code, error.detail, hint=hint if status in {404, 405} else "")
    assert isinstance(error, VoiceIDError)  # noqa: S101 - the last of those that there are
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    retry_after_s = error.retry_after_s if isinstance(error, LockedOut) else None
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after_s = _BUSY_RETRY_S
    return Problem(status, error.code, error.message, hint=error.hint, retry_after_s=retry_after_s)


def headers_of(problem: Problem) -> dict[str, str]:
    """Return the headers for the answer of a problem, in any format."""
    headers = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    if problem.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def problem_document(problem: Problem, **more: Any) -> dict[str, Any]:
    """Return the problem document."""
    return {
        "type": f"urn:voiceid:problem:{problem.code}",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "code": problem.code,
        "hint": problem.hint,
        **more,
    }


def problem_answer(problem: Problem, **more: Any) -> Response:
    """Return the problem document as an answer."""
    document = problem_document(problem, **more)
    return JSONResponse(document, problem.status.value, headers_of(problem), MEDIA_TYPE)

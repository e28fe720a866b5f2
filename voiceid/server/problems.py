"""Errors as problem documents (RFC 9457), with our code and hint."""

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
"""By class of error; of the classes that one belongs to, the most special one here decides."""
_BUSY_RETRY_S = 1


class Problem(Exception):
    """A request that cannot be answered for a reason of the service's own.

    - `code`: stable, for machines, as the class name of an error is.
    - `retry_after_s`: when it may be answered.
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


_SAID = {"missing": "it is needed, and missing", "extra_forbidden": "there is no such option"}
"""What Pydantic says in other words, by its types of errors."""

ERRORS = (Problem, VoiceIDError, HTTPException, RequestValidationError)
"""What a route may end in."""


def denied(detail: str, hint: str) -> Problem:
    """Return the problem of a caller who is known, and may not do that."""
    return Problem(HTTPStatus.FORBIDDEN, "AccessDenied", detail, hint=hint)


def invalid(detail: str, hint: str = "") -> Problem:
    """Return the problem of a request that cannot be."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "RequestInvalid", detail, hint=hint)


def invalid_values(found: Iterable[Any]) -> Problem:
    """Return the problem of values that cannot be, each named."""
    return invalid(
        "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the body'}: {_SAID.get(one['type'], one['msg'])}"
            + (f", and {len(given)} were given" if isinstance(given := one["input"], list) else "")
            for one in found
        )
    )


def busy(detail: str, hint: str, retry_after_s: float | None = None) -> Problem:
    """Return the problem of a request for which there is no place now."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return Problem(status, "ServiceBusy", detail, hint=hint, retry_after_s=retry_after_s)


@contextmanager
def keeping() -> Iterator[None]:
    """Raise Problem where recordings that came cannot be kept until they are heard."""
    try:
        yield
    except OSError as error:
        raise Problem(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "UploadNotKept",
            f"the recordings cannot be kept until they are heard: {error.strerror}",
            hint="Free some space in the data folder of the service, and in its folder for"
            " temporary files (TMPDIR).",
        ) from error


def problem_of(error: Exception) -> Problem:
    """Return the problem that one of `ERRORS` is to a caller."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return invalid_values(error.errors())
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        code = "".join(word.capitalize() for word in status.name.split("_"))
        hint = "/openapi.json describes the requests that there are."
        return Problem(status, code, error.detail, hint=hint if status in {404, 405} else "")
    assert isinstance(error, VoiceIDError)  # noqa: S101 - the last of those that there are
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    retry_after_s = error.retry_after_s if isinstance(error, LockedOut) else None
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after_s = _BUSY_RETRY_S
    return Problem(status, error.code, error.message, hint=error.hint, retry_after_s=retry_after_s)


def headers_of(problem: Problem) -> dict[str, str]:
    """Return the headers that the answer of a problem has, whatever its shape."""
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

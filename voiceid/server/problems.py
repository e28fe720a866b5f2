"""Errors as problem documents (RFC 9457), with our code and hint."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from voiceid import errors
from voiceid.errors import EnrollmentRefused, LockedOut, VoiceIDError

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
    errors.PictureNotWritten: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.AccessDenied: HTTPStatus.UNAUTHORIZED,
    errors.LockedOut: HTTPStatus.TOO_MANY_REQUESTS,
    errors.StoreBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
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


def denied(detail: str, hint: str) -> Problem:
    """Return the problem of a caller who is known, and may not do that."""
    return Problem(HTTPStatus.FORBIDDEN, "AccessDenied", detail, hint=hint)


def problem_of(error: VoiceIDError) -> Problem:
    """Return the problem that an error is to a caller."""
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


def _known(_: Request, error: Exception) -> Response:
    if isinstance(error, EnrollmentRefused):
        report: Any = error.report
        return problem_answer(problem_of(error), report=report.to_dict())
    assert isinstance(error, VoiceIDError)  # noqa: S101 - it is registered for this class alone
    return problem_answer(problem_of(error))


def _own(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101
    return problem_answer(error)


def _of_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    answer = problem_answer(problem_of_http(error))
    answer.headers.update(error.headers or {})
    return answer


def problem_of_http(error: HTTPException) -> Problem:
    """Return the problem that an error of the framework is."""
    status = HTTPStatus(error.status_code)
    code = "".join(word.capitalize() for word in status.name.split("_"))
    return Problem(status, code, error.detail)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return problem_answer(invalid(error.errors()))


def invalid(found: Any) -> Problem:
    """Return the problem of values that cannot be, each named."""
    said = "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'the body'}: {one['msg']}" for one in found
    )
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "RequestInvalid", said)


def answer_problems(app: FastAPI) -> None:
    """Let an application answer every error with a problem document."""
    app.add_exception_handler(VoiceIDError, _known)
    app.add_exception_handler(Problem, _own)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _invalid)

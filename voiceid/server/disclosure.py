"""The errors that callers see: only a caller with the scope ``read`` sees places on this host."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from voiceid import errors
from voiceid.config import Config
from voiceid.domain import Scope
from voiceid.errors import EnrollmentRefused, VoiceIDError
from voiceid.server.problems import ERRORS, Problem, problem_answer, problem_of

_LOG = logging.getLogger("voiceid")
_REFERENCE_BYTES = 4
_WORDS: Mapping[type[VoiceIDError], str] = {
    errors.ErasureIncomplete: "it was removed from the database, but bytes of it remain in a file",
    errors.StoreError: "the database of the service cannot be used now",
    errors.ModelError: "a model of the service cannot be used now",
    VoiceIDError: "the service is not set up to answer this",
}
"""The words by error class; the most specific class of an error counts."""


def problem_for(connection: HTTPConnection, error: Exception) -> Problem:
    """Return the problem of one of `problems.ERRORS` for the sender of a request."""
    caller = getattr(connection.state, "caller", None)  # there is none before the key is known
    if caller is not None and caller.may(Scope.READ):
        return problem_of(error)
    return plain_problem(connection.app.state.parts.config, error)


def plain_problem(config: Config, error: Exception) -> Problem:
    """Return the same without places on this host; the log has the whole message."""
    problem = problem_of(error)
    if not isinstance(error, VoiceIDError) or not _tells_places(config, problem):
        return problem
    reference = secrets.token_hex(_REFERENCE_BYTES)
    with suppress(VoiceIDError):  # the log is full, too
        _LOG.warning("%s: %s: %s", reference, problem.code, problem.detail)
    problem.detail = next(_WORDS[kind] for kind in type(error).__mro__ if kind in _WORDS)
    problem.hint = (
        f"The log of the service says more: search for {reference}. If the request was a change,"
        " check whether it was made before you send it again."
    )
    return problem


def _tells_places(config: Config, problem: Problem) -> bool:
    """Whether a problem may name a place: all faults of the database and of files may."""
    places = map(str, (config.home, config.data, config.models))
    said = f"{problem.detail} {problem.hint}"
    return problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR or any(
        place in said for place in places
    )


def answer_problem(request: Request, error: Exception) -> Response:
    """Answer one of `problems.ERRORS` with the problem document."""
    if isinstance(error, EnrollmentRefused):
        report: Any = error.report
        return problem_answer(problem_for(request, error), report=report.to_dict())
    answer = problem_answer(problem_for(request, error))
    if isinstance(error, HTTPException):
        answer.headers.update(error.headers or {})
    return answer


def _failed(_: Request, __: Exception) -> Response:
    hint = "The log of the service says what; please report it."
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem_answer(Problem(status, "InternalError", "the service has a fault", hint=hint))


def answer_problems(app: FastAPI) -> None:
    """Let an application answer every error with a problem document, its own faults too."""
    app.add_exception_handler(Exception, _failed)  # it is raised after the answer, for the log
    for kind in ERRORS:
        app.add_exception_handler(kind, answer_problem)

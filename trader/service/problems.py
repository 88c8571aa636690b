"""Refusals as problems (RFC 9457): what kind, and what to do; nothing about the inside of the service."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from trader.errors import EnvironmentFaultError
from trader.exchange import NotDeliveredError
from trader.service.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = "5"
_log = logging.getLogger("modelseal.service")


class Problem(BaseModel):
    """A refusal.

    Attributes:
        type: `about:blank`: title and status say it all.
        title: What kind of refusal it is.
        status: HTTP's.
        detail: What to do.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a refusal as a response."""
    content = Problem(title=title, status=status, detail=detail).model_dump()
    return JSONResponse(content, status, dict(headers or {}), MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the refusals of a route, for its description."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {}}}
        for status in statuses
    }


def add_handlers(app: FastAPI) -> None:
    """Have every error of an app answered by a problem."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(NotDeliveredError, _not_delivered)
    app.add_exception_handler(EnvironmentFaultError, _fault)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)  # noqa: S101 - as it is registered
    return problem(error.status, error.title, error.detail, error.headers)


def _not_delivered(_request: Request, _error: Exception) -> JSONResponse:
    return problem(404, "no such message", "It has not been delivered, or its trade is over.")


def _fault(request: Request, error: Exception) -> JSONResponse:
    _log.error("fault of the environment", extra={"path": request.url.path, "error": str(error)})
    detail = "Something that the service needs is away: node, disk or store. Nothing is lost, try again."
    return problem(503, "not at present", detail, {"Retry-After": RETRY_SECONDS})


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as it is registered
    # Not the values: they may be anything, and as long.
    wrong = "; ".join(f"{'.'.join(map(str, each['loc']))[:100]}: {each['msg'][:100]}" for each in error.errors()[:5])
    return problem(422, "bad parameters", wrong)


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - as it is registered
    phrase = HTTPStatus(error.status_code).phrase.lower()
    return problem(error.status_code, phrase, "", error.headers)


def _defect(_request: Request, _error: Exception) -> JSONResponse:
    # The trace goes to the log: the server's middleware raises the error again after this answer.
    return problem(500, "a defect of the service", "It has been logged. Tell the seller if it happens again.")

"""For anybody: what is sold, and whether the service is well."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse

from trader.service.app import anybody, parts_of
from trader.service.problems import documented
from trader.service.status import OfferedListing

router = APIRouter(tags=["public"])


@router.get("/healthz")
async def health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Something is missing.", "model": dict[str, bool]}})
def readiness(request: Request) -> JSONResponse:
    """Say what the seller's work needs, and whether it is there; 503 if something is missing."""
    parts = parts_of(request)
    checks = {"index": True, **parts.status.checks()}
    try:
        parts.mailbox.find("readiness", "")
    except Exception:  # whatever it is, the service is not ready
        checks["index"] = False
    return JSONResponse(checks, 200 if all(checks.values()) else 503)


@router.get("/v1/listings", responses=documented(429), dependencies=[Depends(anybody)])
def listings(request: Request) -> list[OfferedListing]:
    """Return what is offered. Nothing of it is to be believed: chain and package say what holds."""
    return list(parts_of(request).status.listings())

"""The witness over HTTP; `trader.cli.witness` serves it. Submission and monitoring have the same prefix."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from ledger.witness.protocol import Answer, Witness
from ledger.witness.request import MAXIMUM_REQUEST_BYTES


def make_app(witness: Witness) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="ModelSeal witness", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAXIMUM_REQUEST_BYTES:
                return Response("the request is too large\n", status_code=413)
        return await _answer(witness.add_checkpoint, bytes(body))

    @app.get("/{origin_hash}/checkpoint")
    async def checkpoint(origin_hash: str) -> Response:
        return await _answer(witness.latest, origin_hash)

    return app


async def _answer(handle: Any, argument: object) -> Response:
    answer: Answer = await run_in_threadpool(handle, argument)
    return Response(answer.body, status_code=answer.status, headers={"Content-Type": answer.content_type})

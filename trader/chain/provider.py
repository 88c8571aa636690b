"""How calls reach a node: again where a network loses them, and not where their answer can't change."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from eth_typing import URI
from web3 import HTTPProvider
from web3.providers.rpc.utils import check_if_retry_on_failure

if TYPE_CHECKING:
    from web3.types import RPCEndpoint, RPCResponse

ATTEMPTS: Final = 4
FIRST_WAIT_SECONDS: Final = 0.1
CHAIN_ID: Final = "eth_chainId"


class NodeProvider(HTTPProvider):
    """JSON-RPC over HTTP.

    web3 asks for the chain's id before every call, to compare it with that of the call; here it is asked once. What
    matters is signed for a chain: a node of another one refuses it.

    A call that gets no answer, or none that is whole, is repeated, if it may be: reads, and signed transactions, which
    take effect once. Then it is an `OSError`, for half an answer as for none.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Say where the node is; nothing is sent yet."""
        super().__init__(
            url,
            request_kwargs={"timeout": timeout_seconds},
            cache_allowed_requests=True,
            cacheable_requests={CHAIN_ID},
            request_cache_validation_threshold=None,  # which is for blocks, and would ask for the id again
        )

    def make_batch_request(self, batch_requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """Send a batch of reads, as web3 lets nothing else into one; return the answers in the order of their ids."""
        answers = self.decode_rpc_response(self._post(self.encode_batch_rpc_request(batch_requests), ATTEMPTS))
        if isinstance(answers, list):
            answers.sort(key=lambda one: int(one["id"]))
        return answers

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:
        return self._post(request_data, ATTEMPTS if check_if_retry_on_failure(method) else 1)

    def _post(self, request_data: bytes, attempts: int) -> bytes:
        for left in reversed(range(attempts)):
            try:
                answer = self._request_session_manager.make_post_request(
                    URI(str(self.endpoint_uri)), request_data, **self.get_request_kwargs()
                )
                _require_whole(answer)
            except OSError:
                if not left:
                    raise
                time.sleep(FIRST_WAIT_SECONDS * 2 ** (attempts - 1 - left))
            else:
                return bytes(answer)
        raise AssertionError("unreachable")  # pragma: no cover


def _require_whole(answer: bytes) -> None:
    try:
        json.loads(answer)
    except ValueError as error:  # a proxy's page, or half an answer
        raise ConnectionError(f"the answer is no JSON, or not all of it: {error}") from error

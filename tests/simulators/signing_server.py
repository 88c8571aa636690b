"""A program that keeps an account's key and signs over JSON-RPC, as clef or a wallet does; and one that cheats."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from eth_account import Account
from eth_utils.address import to_checksum_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eth_account.signers.local import LocalAccount

Answer = dict[str, Any]


class SigningServer:
    """Signs for one account in one dialect.

    Attributes:
        asked: The methods that were called, in order.
        change: What becomes of a result before it is returned.
        refusal: The error that every request for a signature is answered with, if there is one.
    """

    def __init__(self, account: LocalAccount, *, clef: bool = False, typed_data_as_text: bool = False) -> None:
        self.account = account
        self.asked: list[str] = []
        self.change: Callable[[str, Any], Any] = lambda _method, result: result
        self.change_request: Callable[[dict[str, Any]], dict[str, Any]] = lambda transaction: transaction
        self.refusal: Answer | None = None
        self._text = typed_data_as_text
        self._methods: dict[str, Callable[..., Any]] = (
            {
                "account_version": lambda: "6.1.0",
                "account_list": lambda: [account.address.lower()],
                "account_signTransaction": lambda transaction: {"raw": self._transaction(transaction), "tx": {}},
                "account_signTypedData": self._typed_data,
            }
            if clef
            else {
                "eth_accounts": lambda: [account.address.lower()],
                "eth_signTransaction": self._transaction,
                "eth_signTypedData_v4": self._typed_data,
            }
        )

    def answer(self, request: dict[str, Any]) -> Answer:
        method = request["method"]
        self.asked.append(method)
        if method not in self._methods:
            return {"error": {"code": -32601, "message": f"the method {method} does not exist/is not available"}}
        if self.refusal is not None and "sign" in method:
            return {"error": self.refusal}
        if self._text and method == "eth_signTypedData_v4" and not isinstance(request["params"][1], str):
            return {"error": {"code": -32602, "message": "invalid params"}}
        return {"result": self.change(method, self._methods[method](*request["params"]))}

    def _transaction(self, transaction: dict[str, Any]) -> str:
        assert transaction["from"] == self.account.address
        fields = {key: value for key, value in transaction.items() if key != "from"}
        fields["to"] = to_checksum_address(fields["to"])
        return self.account.sign_transaction(self.change_request(fields)).raw_transaction.to_0x_hex()

    def _typed_data(self, address: str, data: dict[str, Any] | str) -> str:
        assert address == self.account.address
        full = json.loads(data) if isinstance(data, str) else data
        return self.account.sign_typed_data(full_message=full).signature.to_0x_hex()


@contextmanager
def serving(server: SigningServer) -> Iterator[str]:
    """Serve on loopback; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"jsonrpc": "2.0", "id": request["id"]} | server.answer(request)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()


OTHER: LocalAccount = Account.create()

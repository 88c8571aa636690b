"""Accounts whose private key another program keeps: clef, a node, a wallet or a signing service, by its URL.

Two dialects of JSON-RPC are spoken, and told apart by asking: clef's (`account_signTransaction`,
`account_signTypedData`), and that of EIP-1193 and of nodes (`eth_signTransaction`, `eth_signTypedData_v4`). The signer
is believed in nothing: what it returns must be the very transaction or message that was asked for, signed by the
account. It is shown every transaction before the chain is, a seller's delivery key among them.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from eth_account import Account
from eth_account.datastructures import SignedMessage, SignedTransaction
from eth_account.messages import encode_typed_data
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.address import is_address, to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from web3 import HTTPProvider, IPCProvider
from web3.exceptions import Web3Exception
from web3.middleware.signing import to_account

from trader.errors import AccountError, SignerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eth_typing import ChecksumAddress
    from web3.types import RPCEndpoint

SIGNING_TIMEOUT_SECONDS = 300
"""Somebody may have to press a button."""
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LONG_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{33,}")
_SILENT = logging.Logger("modelseal.signer", logging.CRITICAL)
"""Of the library that asks the signer: it logs answers, and a signed transaction may hold a secret."""
_SIGNATURE_BYTES = 65
_BYTES = {"to", "data"}
"""Fields of a transaction that are no numbers."""
_DOMAIN_TYPES = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
    "salt": "bytes32",
}
"""The fields of EIP-712's domain, in its order."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    accounts: str
    sign_transaction: str
    sign_typed_data: str


_CLEF = _Dialect("account_list", "account_signTransaction", "account_signTypedData")
_EIP_1193 = _Dialect("eth_accounts", "eth_signTransaction", "eth_signTypedData_v4")


class _RefusedError(Exception):
    """The signer answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class ExternalAccount:
    """An account that another program signs for; a `trader.signer.Signer`. Made by `connect`.

    Attributes:
        address: The account.
        name: The signer, for messages.
    """

    address: ChecksumAddress
    name: str
    _provider: HTTPProvider | IPCProvider = field(repr=False)
    _dialect: _Dialect = field(repr=False)

    @classmethod
    def connect(cls, url: str, address: str | None = None, timeout_seconds: int = SIGNING_TIMEOUT_SECONDS) -> Self:
        """Ask a signer for its account.

        Args:
            url: https://…, http://… on this machine, or ipc:///path of a socket.
            address: Which account, where it has several.
            timeout_seconds: How long it may take to answer.

        Raises:
            AccountError: It is no such URL, it has another account or several, or it refuses to tell.
            SignerUnavailableError: Nobody answers there.
        """
        if address is not None and not is_address(address):
            raise AccountError(f"{address!r} is no address: name the signer's account by 0x and 40 hex digits")
        provider, name = _provider_of(url, timeout_seconds), f"the signer at {url.split('@')[-1]}"
        try:
            dialect = _dialect_of(provider, name)
            found = _call(provider, name, dialect.accounts, [])
        except _RefusedError as refusal:
            raise AccountError(f"{name} does not name its accounts: {refusal}. Allow it there") from None
        return cls(_choose(found, address, name), name, provider, dialect)

    def sign_transaction(self, transaction_dict: Mapping[str, Any], /) -> SignedTransaction:
        """Have a transaction signed, whose fields are all filled in.

        Raises:
            AccountError: The signer refuses, or returned another transaction or another account's signature.
            SignerUnavailableError: It does not answer.
        """
        asked = {**transaction_dict, "from": self.address}
        answer = self._ask(self._dialect.sign_transaction, [{key: _quantity(value) for key, value in asked.items()}])
        try:
            raw = HexBytes(answer["raw"] if isinstance(answer, dict) else answer)
            signed = TypedTransaction.from_bytes(raw).as_dict()
            changed = [
                key for key in asked if key != "from" and _plain(key, signed.get(key)) != _plain(key, asked[key])
            ]
            signer = str(Account.recover_transaction(raw))
        except Exception:  # whatever the libraries below raise for bytes that are no transaction
            raise AccountError(f"{self.name} returned no signed transaction of EIP-1559: look at the signer") from None
        if changed or signer != self.address or signed.get("accessList"):
            what = ", ".join(changed) or "the account or the access list"
            raise AccountError(f"{self.name} signed another transaction than it was given ({what}): it is not sent")
        return SignedTransaction(raw, HexBytes(keccak(raw)), *(int(signed[part]) for part in "rsv"))

    def sign_typed_data(
        self, domain_data: dict[str, Any], message_types: dict[str, Any], message_data: dict[str, Any], /
    ) -> SignedMessage:
        """Have typed data signed (EIP-712).

        Raises:
            AccountError: The signer refuses, or returned another account's signature.
            SignerUnavailableError: It does not answer.
        """
        signable = encode_typed_data(domain_data, message_types, message_data)
        answer = self._ask(
            self._dialect.sign_typed_data, [self.address, _typed_data(domain_data, message_types, message_data)]
        )
        try:
            signature = bytes(HexBytes(answer))
            if len(signature) != _SIGNATURE_BYTES:
                raise ValueError("it is no signature")
            if signature[64] < 27:  # hardware wallets give the parity alone
                signature = signature[:64] + bytes([signature[64] + 27])
            signer = str(Account.recover_message(signable, signature=signature))
        except (TypeError, ValueError, BadSignature, ValidationError):
            raise AccountError(f"{self.name} returned no signature: look at the signer") from None
        if signer != self.address:
            raise AccountError(f"{self.name} did not sign as {self.address} what it was given: look at the signer")
        digest = keccak(b"\x19" + signable.version + signable.header + signable.body)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return SignedMessage(HexBytes(digest), r, s, signature[64], HexBytes(signature))

    def _ask(self, method: str, parameters: list[Any]) -> Any:
        try:
            try:
                return _call(self._provider, self.name, method, parameters)
            except _RefusedError as refusal:
                if refusal.code != INVALID_PARAMS or not isinstance(parameters[-1], dict) or len(parameters) == 1:
                    raise
                text = json.dumps(parameters[-1])  # browsers' wallets take typed data as text
                return _call(self._provider, self.name, method, [*parameters[:-1], text])
        except _RefusedError as refusal:
            raise AccountError(f"{self.name} refuses to sign for {self.address}: {refusal}") from None


to_account.register(ExternalAccount, lambda account: account)  # web3's signing middleware takes it, for deployments


def _provider_of(url: str, timeout_seconds: int) -> HTTPProvider | IPCProvider:
    parts = urlsplit(url)
    provider: HTTPProvider | IPCProvider
    if parts.scheme == "ipc":
        provider = IPCProvider(Path(parts.path), timeout=timeout_seconds)
        provider.logger = _SILENT
        return provider
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        kwargs = {"timeout": timeout_seconds}
        provider = HTTPProvider(url, request_kwargs=kwargs, exception_retry_configuration=None)
        provider.logger = _SILENT
        return provider
    if parts.scheme == "http":
        raise AccountError(
            f"http://{parts.hostname} is not this machine: a signer sees secrets before the chain does. Use https, or "
            "a tunnel to its port"
        )
    raise AccountError("a signer's URL is https://…, http://localhost:… or ipc:///path/of/socket")


def _dialect_of(provider: HTTPProvider | IPCProvider, name: str) -> _Dialect:
    """Ask whether it is clef, which tells its version to anybody."""
    try:
        _call(provider, name, "account_version", [])
    except _RefusedError:
        return _EIP_1193
    return _CLEF


def _choose(found: object, address: str | None, name: str) -> ChecksumAddress:
    listed = found if isinstance(found, list) else []
    accounts = [to_checksum_address(account) for account in listed if is_address(account)]
    if address is None and len(accounts) == 1:
        return accounts[0]
    if address is None:
        raise AccountError(f"{name} has {len(accounts)} accounts: name one by its address. {', '.join(accounts[:8])}")
    wanted = to_checksum_address(address)
    if wanted not in accounts:
        raise AccountError(f"{name} has no account {wanted}: add it there, or name another one")
    return wanted


def _call(provider: HTTPProvider | IPCProvider, name: str, method: str, parameters: list[Any]) -> Any:
    rpc: RPCEndpoint = method  # type: ignore[assignment]  # a string, of a type of its own
    try:
        answer: Any = provider.make_request(rpc, parameters)
    except (OSError, ValueError, Web3Exception) as error:
        # The error may show the request, which may hold a secret: its kind alone is told.
        raise SignerUnavailableError(
            f"{name} does not answer ({type(error).__name__}): start it, unlock it, and repeat."
        ) from None
    if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
        raise SignerUnavailableError(f"{name} does not answer as a signer does: check its URL.")
    if (refusal := answer.get("error")) is not None:
        text = str(refusal.get("message", "") if isinstance(refusal, dict) else refusal)
        code = refusal.get("code", 0) if isinstance(refusal, dict) else 0
        raise _RefusedError(int(code), " ".join(_LONG_HEX.sub("0x…", text).split())[:200])
    return answer["result"]


def _typed_data(domain: dict[str, Any], types: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Return typed data as JSON has it: the domain's type and the primary type named, numbers as text."""
    inner = {entry["type"].partition("[")[0] for entries in types.values() for entry in entries}
    (primary,) = set(types) - inner
    domain_type = [{"name": name, "type": kind} for name, kind in _DOMAIN_TYPES.items() if name in domain]
    return {
        "types": {"EIP712Domain": domain_type, **types},
        "primaryType": primary,
        "domain": _as_json(domain),
        "message": _as_json(message),
    }


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(entry) for entry in value]
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _quantity(value: Any) -> Any:
    """Return a transaction's field as JSON-RPC has it."""
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return hex(value) if isinstance(value, int) else value


def _plain(name: str, value: Any) -> bytes | int:
    """Return a transaction's field so that two ways to write it are equal."""
    if name in _BYTES:
        return bytes(HexBytes(value))
    return int(value, 16) if isinstance(value, str) else int(value)

"""Certificates of trades that ended in each way hold; whatever is changed in one is found, though a party signs it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from eth_account import Account
from eth_utils.crypto import keccak
from pydantic import ValidationError

from contracts import Acceptance
from ledger import Checkpoint, EntryKind
from trader.chain import Chain
from trader.trade import State
from trader.trade_certificate import (
    TradeCertificate,
    TradeCertificateError,
    Witnesses,
    check_delivered,
    verify_trade_certificate,
)
from trader.trade_certificate.document import parse_trade_certificate
from trader.trade_certificate.errors import (
    CertificateChainError,
    CertificateFormError,
    CertificateLogError,
    CertificateManifestError,
    CertificateMarketError,
    CertificateStoryError,
    InclusionFaultError,
)
from trader.trade_certificate.story import check_story, read_moves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trader.trade_certificate.story import SignedMove

FOLDER = Path(__file__).parents[3] / "vectors" / "trade_certificates"
BUYER = Account.from_key(keccak(b"the buyer of the tests' certificates"))
SELLER = Account.from_key(keccak(b"the seller of the tests' certificates"))
SIGNERS_WORD = {("delivered",), ("signature",)}
"""What nothing else is held against; the signature alone keeps others from changing it."""


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_bytes())


def sign(content: dict[str, Any], account: Any = BUYER) -> bytes:
    """What a party gives out that wants to deceive: in canonical form, and signed."""
    changed = TradeCertificate.model_validate_json(rfc8785.dumps(content))
    return changed.model_copy(update={"signer": account.address.lower()}).signed(account).to_bytes()


def outcomes(data: bytes, **witnesses: Any) -> dict[int, str]:
    return {check.number: check.outcome for check in verify_trade_certificate(data, Witnesses(**witnesses)).checks}


# ------------------------------------------------------------------------------------------------------- honest


@pytest.mark.parametrize(
    ("name", "state", "amounts"),
    [
        ("settled", State.SETTLED, {"amount": 12 * 10**17}),
        ("slashed", State.SLASHED, {"amount": 12 * 10**17}),
        ("expired", State.EXPIRED, {"to_buyer": 10**15, "to_seller": 0}),
    ],
)
def test_each_ending_has_its_certificate(name: str, state: State, amounts: dict[str, int]) -> None:
    data = (FOLDER / f"{name}.json").read_bytes()
    verified = verify_trade_certificate(data)
    assert verified.story.ended is state
    assert verified.story.amounts_wei == amounts
    assert (verified.story.seller, verified.story.buyer) == (SELLER.address.lower(), BUYER.address.lower())
    found = {check.number: check.outcome for check in verified.checks}
    proof = "not checked" if name == "expired" else "partly"  # it needs the package
    assert found == dict.fromkeys((1, 2, 3, 4, 5), "holds") | {6: proof, 7: "partly", 8: "not checked"}
    assert verified.proven_outputs == (0 if name == "expired" else 16)
    assert sign(json.loads(data)) == data


def test_a_checkpoint_from_elsewhere_completes_the_log() -> None:
    content = read("settled")
    known = Checkpoint.parse(content["log"]["checkpoint"])
    data = (FOLDER / "settled.json").read_bytes()
    assert outcomes(data, checkpoint=known)[7] == "holds"
    with pytest.raises(CertificateLogError, match="another than the one that you know"):
        outcomes(data, checkpoint=Checkpoint(known.entries, bytes(32)))


def test_a_chain_without_the_blocks_is_no_witness() -> None:
    data = (FOLDER / "expired.json").read_bytes()
    chain = Chain.embedded()
    account = Account.create()
    chain.fund(account.address, 10**19)
    chain.deploy(account)
    with pytest.raises(CertificateChainError, match="another block"):
        verify_trade_certificate(data, Witnesses(chain=chain))


def test_secrets_and_texts_of_a_machine_are_left_out() -> None:
    for name in ("settled", "slashed", "expired"):
        content = read(name)
        assert {entry["entry"]["kind"] for entry in content["log"]["entries"]} & {
            "MessageSkipped",
            "MessageRepeated",
            "TransactionFailed",
        } == set()
        text = json.dumps(content["log"])
        assert "/tmp" not in text
        assert "demo-output" not in text
        assert BUYER.key.hex() not in json.dumps(content)


# ---------------------------------------------------------------------------------------------------- mutations


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield from leaves(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from leaves(child, (*path, index))
    else:
        yield path


def change(value: Any, salt: str) -> Any:
    """Another value of the same type, in the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if value is None:
        return "0x" + "11" * 32
    if value.startswith("0x") and len(value) > 2:
        place = 2 + int.from_bytes(keccak(text=salt)[:8], "big") % (len(value) - 2)
        digit = "0123456789abcdef"["0123456789abcdef".index(value[place]) ^ 1]
        return value[:place] + digit + value[place + 1 :]
    return str(int(value) + 1) if value.isdecimal() else value + "x"


def changed_at(content: dict[str, Any], path: tuple[Any, ...], salt: str = "") -> dict[str, Any]:
    copied = copy.deepcopy(content)
    parent = copied
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = change(parent[path[-1]], f"{path}{salt}")
    return copied


def is_detected(data: Callable[[], bytes]) -> bool:
    try:
        changed = data()
    except ValidationError:  # it can't be signed: it is no certificate any more
        return True
    try:
        verify_trade_certificate(changed)
    except TradeCertificateError:
        return True
    return False


def test_every_field_that_a_stranger_changes_is_found() -> None:
    content = read("expired")
    paths = list(leaves(content))
    assert len(paths) > 200
    missed = [path for path in paths if not is_detected(lambda path=path: rfc8785.dumps(changed_at(content, path)))]
    assert missed == []


@pytest.mark.parametrize(("name", "every"), [("expired", 2), ("settled", 13), ("slashed", 17)])
def test_every_field_that_a_party_changes_and_signs_is_found(name: str, every: int) -> None:
    """Of the longer ones a part; all of them were tried when the format was made."""
    content = read(name)
    paths = [path for path in leaves(content) if path not in SIGNERS_WORD and path != ("signer",)]
    missed = [path for path in paths[::every] if not is_detected(lambda path=path: sign(changed_at(content, path)))]
    assert missed == []


@pytest.mark.parametrize("part", ["raw", "receipt", "header", "transaction_path", "receipt_path"])
def test_bits_of_the_chains_bytes_count_at_many_places(part: str) -> None:
    content = read("expired")
    places = [path for path in leaves(content) if part in path]
    assert places
    for path in places:
        for salt in range(4):
            assert is_detected(lambda path=path, salt=salt: sign(changed_at(content, path, str(salt)))), (path, salt)


# ------------------------------------------------------------------------------------------------------ attacks


def test_a_certificate_signed_by_a_stranger() -> None:
    content = read("settled")
    with pytest.raises(CertificateStoryError, match="no party"):
        verify_trade_certificate(sign(content, Account.create()))
    with pytest.raises(CertificateFormError, match="not signed by"):
        verify_trade_certificate(rfc8785.dumps(content | {"signer": SELLER.address.lower()}))
    assert outcomes(sign(content, SELLER))[1] == "holds"


def test_a_move_that_is_left_out_or_told_twice() -> None:
    content = read("settled")
    for index in range(len(content["transactions"])):
        for count in (0, 2):
            forged = copy.deepcopy(content)
            forged["transactions"][index : index + 1] = [content["transactions"][index]] * count
            if not count:
                gone = content["transactions"][index]["block"]
                forged["blocks"] = [block for block in content["blocks"] if block["number"] != gone]
            with pytest.raises((CertificateStoryError, InclusionFaultError)):
                verify_trade_certificate(sign(forged))


@pytest.mark.parametrize("name", ["settled", "slashed", "expired"])
def test_a_move_that_is_left_out_with_all_that_the_log_says_of_it(name: str) -> None:
    """As a party would do it that has nothing to hide but one move; also as a story alone, whatever its log says."""
    content = read(name)
    certificate = parse_trade_certificate(rfc8785.dumps(content))
    moves = read_moves(certificate)
    check_story(certificate, moves)
    for index, move in enumerate(moves):
        forged = copy.deepcopy(content)
        gone = forged["transactions"].pop(index)["block"]
        forged["blocks"] = [block for block in content["blocks"] if block["number"] != gone]
        kept = [one for one in content["log"]["entries"] if one["entry"].get("transaction_hash") != move.hash]
        forged["log"]["entries"] = kept
        with pytest.raises((CertificateStoryError, InclusionFaultError)):
            verify_trade_certificate(sign(forged))
        with pytest.raises(CertificateStoryError):
            check_story(certificate, [*moves[:index], *moves[index + 1 :]])


def test_an_acceptance_that_is_left_out() -> None:
    """The one move without which the others would still be a whole trade: each way on says whether there was one."""
    certificate = parse_trade_certificate(rfc8785.dumps(read("settled")))
    *before, signed, confirm = read_moves(certificate)
    delivery = confirm.arguments["delivery"]
    reveal = replace(signed, arguments={**signed.arguments, "acceptance": b""})
    accepted = replace(signed.events[0], kind=EntryKind.ACCEPTED)  # a deadline, as the key's event has one
    accept = replace(confirm, function="accept", events=(accepted,), time_seconds=None)

    def revealed(trade_id: int, account: Any) -> SignedMove:
        typed = Acceptance(trade_id, delivery).typed_data(certificate.chain_id, certificate.market)
        signature = bytes(account.sign_typed_data(*typed).signature)
        return replace(reveal, arguments={**reveal.arguments, "acceptance": signature})

    trade = int(certificate.trade)
    for whole in ([signed], [revealed(trade, BUYER)], [accept, reveal]):
        assert check_story(certificate, [*before, *whole, confirm]).ended is State.SETTLED
    for forged in (reveal, revealed(trade, SELLER), revealed(trade + 1, BUYER)):
        with pytest.raises(CertificateStoryError, match="it is left out"):
            check_story(certificate, [*before, forged, confirm])

    def expired(state: State) -> SignedMove:
        (event,) = [event for move in read_moves(parse_trade_certificate(rfc8785.dumps(read("expired")))) for event in
                    move.events if event.kind is EntryKind.EXPIRED]  # fmt: skip
        late = replace(event, trade_id=trade, details={**event.details, "ended": int(state)})
        return replace(confirm, function="expire", arguments={"tradeId": trade}, events=(late,), time_seconds=None)

    for state, moves in ((State.ACCEPTED, [*before, accept]), (State.PROVEN, before)):
        assert check_story(certificate, [*moves, expired(state)]).ended is State.EXPIRED
    # A seller that kept its key to itself says that the buyer never accepted, and the other way round.
    for state, moves in ((State.ACCEPTED, before), (State.PROVEN, [*before, accept])):
        with pytest.raises(CertificateStoryError, match="the state that the trade ended in"):
            check_story(certificate, [*moves, expired(state)])


def test_moves_of_another_trade() -> None:
    """Both are trade 1 of a market at one address on chains of one number: the digests tell them apart."""
    mine, other = read("settled"), read("slashed")
    for index, section in enumerate(other["transactions"][:4]):
        forged = copy.deepcopy(mine)
        replaced = forged["transactions"][index]["block"]
        header = next(block for block in other["blocks"] if block["number"] == section["block"])
        forged["transactions"][index] = section
        forged["blocks"] = [header if block["number"] == replaced else block for block in forged["blocks"]]
        if section["block"] == replaced:
            with pytest.raises(TradeCertificateError):
                verify_trade_certificate(sign(forged))


def test_entries_of_the_log_that_are_left_out() -> None:
    content = read("settled")
    for index, entry in enumerate(content["log"]["entries"]):
        forged = copy.deepcopy(content)
        del forged["log"]["entries"][index]
        if "chain_id" in entry["entry"]:
            with pytest.raises(CertificateLogError, match="otherwise than the chain"):
                verify_trade_certificate(sign(forged))
        else:  # steps off the chain are the signer's to tell
            verify_trade_certificate(sign(forged))


def test_entries_twice_or_out_of_order() -> None:
    content = read("settled")
    entries = content["log"]["entries"]
    for forged_entries in ([*entries, entries[-1]], entries[::-1]):
        forged = content | {"log": content["log"] | {"entries": forged_entries}}
        with pytest.raises(CertificateLogError, match="order of the log"):
            verify_trade_certificate(sign(forged))


def test_without_headers_it_says_so() -> None:
    content = read("settled")
    for block in content["blocks"]:
        block["header"] = "0x"
    with pytest.raises(InclusionFaultError, match="paths to a block without header"):
        verify_trade_certificate(sign(content))
    for section in content["transactions"]:
        section["transaction_path"] = section["receipt_path"] = []
    found = outcomes(sign(content))
    assert (found[3], found[5]) == ("partly", "partly")


def test_another_contract_and_a_market_of_tests() -> None:
    content = read("settled")
    with pytest.raises(CertificateMarketError, match="not the published market"):
        verify_trade_certificate(sign(content | {"market": "0x" + "ab" * 20}))
    with pytest.raises(CertificateMarketError):
        verify_trade_certificate(sign(content | {"market_salt": "0x" + "01" * 32}))


def test_another_manifest() -> None:
    content = read("settled")
    card = content["manifest"]["card"] | {"licence": "free for all"}
    forged = content | {"manifest": content["manifest"] | {"card": card}}
    with pytest.raises(CertificateManifestError, match="listed manifest"):
        verify_trade_certificate(sign(forged))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b"null", b"[" * 100_000, b'{"format":"modelseal/trade-certificate","version":2}'],
)
def test_what_is_no_certificate(data: bytes) -> None:
    with pytest.raises(CertificateFormError, match="no trade certificate"):
        verify_trade_certificate(data)


def test_only_canonical_bytes_are_a_certificate() -> None:
    data = (FOLDER / "expired.json").read_bytes()
    for other in (data + b"\n", json.dumps(json.loads(data)).encode(), data.replace(b'"version":1', b'"version":1.0')):
        with pytest.raises(CertificateFormError):
            verify_trade_certificate(other)


def test_the_delivered_file_is_compared() -> None:
    verified = verify_trade_certificate((FOLDER / "settled.json").read_bytes())
    with pytest.raises(CertificateFormError, match="SHA-256"):
        check_delivered(verified.certificate, b"another model")

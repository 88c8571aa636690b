"""Uploads, honest and hostile: whatever is tried, no defect answers, and nothing stays that should not."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from base64 import b64encode
from dataclasses import replace

import pytest

from tests.simulators.service import (
    AUDIT_INPUTS,
    BUYER,
    LIMITS,
    MARKET,
    OTHER_BUYER,
    OWNER,
    PACKAGE,
    REQUEST,
    RESPONSE,
    SELLER,
    STRANGER,
    TUS,
    Caller,
    Seller,
    announcement,
    label,
    plain_client,
)
from trader.artifacts import StoreFaultError
from trader.exchange import Kind, NotDeliveredError
from trader.exchange.signing import TRAILER_BYTES, sign_trailer
from trader.service import uploads as module
from trader.service.index import MESSAGES
from zk.binding.merkle import keccak256

MESSAGE = bytes(range(256)) * 10


def refused(response, status: int, title: str) -> bool:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()["title"] == title


def stored(seller: Seller) -> list:
    return list(seller.mailbox.store.blobs())


# --------------------------------------------------------------------------------------------------------- honest


def test_a_message_in_one_go_and_nothing_else_stays(seller, buyer):
    announced = buyer.announce(MESSAGE)
    assert announced.status_code == 201
    assert announced.headers["upload-offset"] == "0"
    assert announced.headers["tus-resumable"] == "1.0.0"
    done = buyer.append(announced.headers["location"], 0, MESSAGE)
    assert done.status_code == 204
    assert done.headers["upload-offset"] == str(len(MESSAGE))
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE
    assert seller.uploads == []
    assert len(stored(seller)) == 1


def test_a_message_in_many_pieces_also_over_a_restart(seller, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    for start in range(0, len(MESSAGE), 1000):
        path = location.removeprefix(seller.settings.endpoint)
        assert buyer.ask("HEAD", path, TUS).headers["upload-offset"] == str(start)
        again = buyer.announce(MESSAGE)  # as another process of the buyer's would
        assert (again.headers["location"], again.headers["upload-offset"]) == (location, str(start))
        assert buyer.append(location, start, MESSAGE[start : start + 1000]).status_code == 204
        seller.restart()
        buyer = Caller(plain_client(seller.app))
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE


def test_audit_inputs_are_for_the_trades_buyer(seller, buyer):
    assert buyer.upload(b"audit inputs", named=AUDIT_INPUTS).status_code == 204
    assert seller.mailbox.get(AUDIT_INPUTS, BUYER.address, 100) == b"audit inputs"
    others = Caller(buyer.client, OTHER_BUYER).announce(b"audit inputs", named=AUDIT_INPUTS)
    assert refused(others, 403, "not this account's message")


def test_a_message_that_is_put_again_takes_the_place_of_the_first(seller, buyer):
    buyer.upload(MESSAGE)
    buyer.upload(b"another")
    assert seller.mailbox.get(REQUEST, BUYER.address, 100) == b"another"


def test_what_an_upload_is_can_be_asked(buyer):
    response = buyer.client.options("/v1/uploads")
    assert response.headers["tus-version"] == "1.0.0"
    assert "creation" in response.headers["tus-extension"]


# --------------------------------------------------------------------------------------------------- whose, how long


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("named", [REQUEST, AUDIT_INPUTS], ids=["request", "audit"])
def test_the_limit_is_known_before_the_first_byte(buyer, named, over):
    size = LIMITS[named.kind] + over
    response = buyer.announce(b"x", named=named, length=size)
    if over:
        assert refused(response, 413, "message too long")
    else:
        assert response.status_code == 201


@pytest.mark.parametrize("account", [OTHER_BUYER, OWNER])
def test_a_request_is_written_by_who_opened_its_session(seller, buyer, account):
    response = Caller(buyer.client, account).announce(MESSAGE)
    assert refused(response, 403, "not this account's message")
    assert response.headers["retry-after"]
    assert seller.uploads == []


def test_a_stranger_announces_nothing(seller, buyer):
    assert refused(Caller(buyer.client, STRANGER).announce(MESSAGE), 403, "this account has no session here")
    assert seller.uploads == []


@pytest.mark.parametrize(
    "named", [PACKAGE, label(Kind.CLAIMS), label(Kind.CERTIFICATE), RESPONSE, label(Kind.MODEL, 1)], ids=str
)
def test_what_the_seller_writes_nobody_uploads(buyer, named):
    assert refused(buyer.announce(MESSAGE, named=named), 403, "not a buyer's message")


def test_a_request_under_a_trades_number_is_none(buyer):
    assert refused(buyer.announce(MESSAGE, named=label(Kind.REQUEST, 1)), 403, "not this account's message")


@pytest.mark.parametrize(
    "trailer",
    [
        sign_trailer(REQUEST, keccak256(MESSAGE), STRANGER),
        sign_trailer(AUDIT_INPUTS, keccak256(MESSAGE), BUYER),
        sign_trailer(replace(REQUEST, chain_id=1), keccak256(MESSAGE), BUYER),
        b"",
        b"x" * TRAILER_BYTES,
        sign_trailer(REQUEST, keccak256(MESSAGE), BUYER) + b"x",
    ],
    ids=["stranger", "label", "chain", "empty", "junk", "long"],
)
def test_the_senders_signature_comes_first(seller, buyer, trailer):
    assert refused(buyer.announce(MESSAGE, trailer=trailer), 422, "not the sender's message")
    assert seller.uploads == []


@pytest.mark.parametrize("length", ["", "0", "-1", "1e3", "1.0", " 1", "9" * 16, "٣", "0x10"])
def test_lengths_that_are_none(buyer, length):
    headers = announcement(MESSAGE) | {"Upload-Length": length}
    raw = {name: value.encode() for name, value in headers.items()}
    response = buyer.client.post("/v1/uploads", headers={**raw, **_signed(buyer, headers)})
    assert response.status_code in (400, 401)


def _signed(buyer, headers):
    from tests.simulators.service import signed_headers

    return {"Authorization": signed_headers(buyer.account, "POST", "/v1/uploads", headers)["Authorization"]}


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        ",,,",
        "name",
        f"name {_b64(REQUEST.name)}",
        f"trailer {_b64('x' * 105)}",
        f"name !!!,trailer {_b64('x')}",
        f"name {_b64('../../../../etc/cron.d/x')},trailer {_b64('x' * 105)}",
        f"name {_b64('request-31337-' + MARKET[2:] + '-0-' + '../' * 22)},trailer {_b64('x' * 105)}",
        f"name {_b64(REQUEST.name + chr(0))},trailer {_b64('x')}",
        f"name {_b64('ü' * 300)},trailer {_b64('x')}",
    ],
)
def test_metadata_that_names_no_message(seller, buyer, metadata):
    headers = announcement(MESSAGE) | {"Upload-Metadata": metadata}
    assert refused(buyer.ask("POST", "/v1/uploads", headers), 400, "bad Upload-Metadata")
    assert seller.uploads == []


def test_messages_of_another_market_are_refused(buyer):
    for other in (replace(REQUEST, chain_id=1), replace(REQUEST, market="0x" + "ac" * 20)):
        assert refused(buyer.announce(MESSAGE, named=other), 404, "no such message")


def test_another_protocol(buyer):
    headers = announcement(MESSAGE) | {"Tus-Resumable": "2.0.0"}
    response = buyer.ask("POST", "/v1/uploads", headers)
    assert refused(response, 412, "another protocol")
    assert response.headers["tus-version"] == "1.0.0"


# ----------------------------------------------------------------------------------------------------- the bytes


def test_a_wrong_offset_says_the_right_one(buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    buyer.append(location, 0, MESSAGE[:100])
    for offset in (0, 99, 101, 10**14):
        response = buyer.append(location, offset, b"x")
        assert refused(response, 409, "wrong offset")
        assert response.headers["upload-offset"] == "100"


@pytest.mark.parametrize("offset", ["", "-1", "1.0", "9" * 30, "x"])
def test_offsets_that_are_none(buyer, offset):
    location = buyer.announce(MESSAGE).headers["location"]
    assert refused(buyer.append(location, 0, b"x", headers={"Upload-Offset": offset}), 400, "bad Upload-Offset")


def test_more_than_was_announced_is_refused_before_it_comes(seller, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    assert refused(buyer.append(location, 0, MESSAGE + b"x"), 413, "more than was announced")
    assert buyer.append(location, 0, MESSAGE).status_code == 204
    assert refused(buyer.append(location, len(MESSAGE), b"x"), 404, "no such upload")


def test_another_content_type(buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    response = buyer.append(location, 0, MESSAGE, headers={"Content-Type": "application/json"})
    assert refused(response, 415, "another content type")


@pytest.mark.parametrize("bad", [b"X" + MESSAGE[1:], MESSAGE[:-1] + b"X"])
def test_other_bytes_than_were_signed_leave_nothing(seller, buyer, bad):
    location = buyer.announce(MESSAGE).headers["location"]
    assert refused(buyer.append(location, 0, bad), 422, "not the signed bytes")
    assert seller.uploads == []
    assert stored(seller) == []
    with pytest.raises(NotDeliveredError):
        seller.mailbox.get(REQUEST, BUYER.address, 10_000)
    assert buyer.upload(MESSAGE).status_code == 204


def test_an_upload_is_its_senders_alone(seller, buyer):
    path = buyer.announce(MESSAGE).headers["location"].removeprefix(seller.settings.endpoint)
    other = Caller(buyer.client, OTHER_BUYER)
    for method in ("HEAD", "DELETE"):
        assert other.ask(method, path, TUS).status_code == 404
    assert other.append(path, 0, MESSAGE).status_code == 404
    assert buyer.ask("DELETE", path, TUS).status_code == 204
    assert buyer.ask("HEAD", path, TUS).status_code == 404


@pytest.mark.parametrize("upload_id", ["x", "..%2findex.sqlite", "0" * 32, "A" * 32, "0" * 33, "%00"])
def test_uploads_that_are_none(buyer, upload_id):
    assert buyer.ask("HEAD", f"/v1/uploads/{upload_id}", TUS).status_code in (401, 404)
    assert buyer.append(f"/v1/uploads/{upload_id}", 0, b"x").status_code in (401, 404)


def test_another_message_of_the_name_takes_the_uploads_place(seller, buyer):
    first = buyer.announce(MESSAGE).headers["location"]
    buyer.append(first, 0, MESSAGE[:100])
    second = buyer.announce(b"another")
    assert second.headers["upload-offset"] == "0"
    assert buyer.append(first, 100, MESSAGE[100:]).status_code == 404
    assert buyer.append(second.headers["location"], 0, b"another").status_code == 204
    assert seller.uploads == []


def test_message_after_message_in_one_place_takes_the_room_of_one(seller, buyer):
    """Quotas count what is there: so what is not counted any more must not stay."""
    for number in range(5):
        message = bytes([number]) * 1000
        location = buyer.announce(message).headers["location"]
        buyer.append(location, 0, message[:999])
    assert len(seller.uploads) == 1
    for number in range(5):
        assert buyer.upload(bytes([100 + number]) * 1000).status_code == 204
    assert seller.uploads == []
    assert len(stored(seller)) == 1
    assert seller.mailbox.get(REQUEST, BUYER.address, 1000) == bytes([104]) * 1000


def test_an_artifact_that_two_messages_are_made_of_stays_while_one_is(seller):
    seller.mailbox.put(RESPONSE, b"same", SELLER)
    stored_message = seller.mailbox.find(RESPONSE.name, SELLER.address)
    with seller.mailbox.index.writing() as connection:
        connection.execute(MESSAGES.insert().values(stored_message._replace(name="another")._asdict()))
    seller.mailbox.put(RESPONSE, b"other", SELLER)
    assert len(stored(seller)) == 2


def test_two_requests_never_write_one_upload_at_once(seller, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    path = seller.settings.folder / "uploads" / location.rpartition("/")[2]
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        response = buyer.append(location, 0, MESSAGE)
        assert refused(response, 423, "upload in use")
        assert response.headers["retry-after"] == "1"
    assert buyer.append(location, 0, MESSAGE).status_code == 204


def test_many_at_once_give_one_message(seller, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    statuses = []

    def append():
        statuses.append(Caller(plain_client(seller.app)).append(location, 0, MESSAGE).status_code)

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 404, 409, 410, 423}
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE


# ------------------------------------------------------------------------------------------------------------ room


def test_quotas_of_an_account_are_exact_and_promised_room_counts(tmp_path):
    seller = Seller(tmp_path, account_quota_bytes=len(MESSAGE) + TRAILER_BYTES + 100)
    buyer, other = (Caller(plain_client(seller.app), account) for account in (BUYER, OTHER_BUYER))
    buyer.upload(MESSAGE)
    assert refused(buyer.announce(b"x" * 101, named=AUDIT_INPUTS), 413, "quota used up")
    assert buyer.announce(b"x" * 100, named=AUDIT_INPUTS).status_code == 201
    assert refused(buyer.announce(b"y", named=label(Kind.AUDIT_INPUTS, 1, b"\1" * 32)), 413, "quota used up")
    others = label(Kind.REQUEST, anchor=seller.book.sessions[1].request_digest)
    assert other.announce(MESSAGE, named=others).status_code == 201
    seller.mailbox.forget_trade(1)
    assert seller.app.state.parts.uploads.sweep() == 0  # nothing of the second one had come


def test_the_total_quota_is_everybodys(tmp_path):
    seller = Seller(tmp_path, total_quota_bytes=1000)
    buyer, other = (Caller(plain_client(seller.app), account) for account in (BUYER, OTHER_BUYER))
    assert buyer.announce(b"x" * 900).status_code == 201
    mine = label(Kind.REQUEST, anchor=seller.book.sessions[1].request_digest)
    response = other.announce(b"x" * 101, named=mine)
    assert refused(response, 507, "no room")
    assert response.headers["retry-after"]
    assert other.announce(b"x" * 100, named=mine).status_code == 201


def test_a_disk_is_never_filled(seller, buyer, monkeypatch):
    usage = shutil.disk_usage(seller.folder)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=2 * len(MESSAGE) + 99))
    full = Seller(seller.folder / "full", minimum_free_bytes=100)
    caller = Caller(plain_client(full.app))
    assert refused(caller.announce(MESSAGE), 507, "no room")
    assert caller.announce(MESSAGE[1:]).status_code == 201


def test_a_full_disk_keeps_what_came_and_the_upload_goes_on(seller, buyer, monkeypatch):
    location = buyer.announce(MESSAGE).headers["location"]

    def full(_descriptor, view):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", full)
        assert refused(buyer.append(location, 0, MESSAGE), 507, "no room")
    assert buyer.append(location, 0, MESSAGE).status_code == 204


def test_a_store_that_is_away_leaves_the_upload_whole_for_later(seller, buyer, monkeypatch):
    location = buyer.announce(MESSAGE).headers["location"]

    def away(*_):
        raise StoreFaultError("s3://bucket is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(seller.mailbox.store), "stage", away)
        response = buyer.append(location, 0, MESSAGE)
        assert refused(response, 503, "not at present")
        assert "bucket" not in response.text
    again = buyer.announce(MESSAGE)
    assert again.headers["upload-offset"] == str(len(MESSAGE))
    assert buyer.append(location, len(MESSAGE), b"").status_code == 204
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE


def test_a_trade_has_few_audit_inputs(buyer):
    for number in range(module.MOST_OF_A_KIND):
        named = label(Kind.AUDIT_INPUTS, 1, bytes([number]) * 32)
        assert buyer.announce(b"x", named=named).status_code == 201
        if number % 2:
            assert buyer.upload(b"x", named=named).status_code == 204
    assert refused(buyer.announce(b"x", named=label(Kind.AUDIT_INPUTS, 1, b"\xff" * 32)), 413, "too many messages")
    assert buyer.announce(b"y", named=label(Kind.AUDIT_INPUTS, 1, bytes(32))).status_code == 201  # in the first's place


def test_uploads_that_nobody_goes_on_with_are_swept(seller, buyer, monkeypatch):
    uploads = seller.app.state.parts.uploads
    location = buyer.announce(MESSAGE).headers["location"]
    buyer.append(location, 0, MESSAGE[:100])
    (seller.settings.folder / "uploads" / "left").write_bytes(b"by a crash")
    assert uploads.sweep() == 1
    lifetime = seller.settings.upload_lifetime_seconds
    now = uploads._clock()
    monkeypatch.setattr(uploads, "_clock", lambda: now + lifetime - 5)
    assert uploads.sweep() == 0
    buyer.append(location, 100, MESSAGE[100:200])  # lives on from here
    monkeypatch.setattr(uploads, "_clock", lambda: now + 2 * lifetime - 10)
    assert uploads.sweep() == 0
    monkeypatch.setattr(uploads, "_clock", lambda: now + 2 * lifetime)
    assert refused(buyer.append(location, 200, b"x"), 404, "no such upload")
    assert uploads.sweep() == 1
    assert seller.uploads == []


def test_an_upload_whose_trade_ends_meanwhile_becomes_no_message(seller, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    buyer.append(location, 0, MESSAGE[:-1])
    upload = seller.app.state.parts.uploads.find(location.rpartition("/")[2], BUYER.address.lower())
    seller.mailbox.forget_trade(1)
    assert refused(buyer.append(location, len(MESSAGE) - 1, MESSAGE[-1:]), 404, "no such upload")
    # Even if it is just being finished.
    (seller.settings.folder / "uploads" / upload.upload_id).write_bytes(MESSAGE)
    with pytest.raises(Exception, match="dropped while"):
        seller.app.state.parts.uploads.finish(upload)
    assert stored(seller) == []


def test_killed_between_message_and_file_the_file_is_swept(seller, buyer, monkeypatch):
    class KilledError(BaseException):
        pass

    def killed(_path, missing_ok=False):
        raise KilledError

    location = buyer.announce(MESSAGE).headers["location"]
    buyer.append(location, 0, MESSAGE[:-1])
    uploads = seller.app.state.parts.uploads
    upload = uploads.find(location.rpartition("/")[2], BUYER.address.lower())
    with (seller.settings.folder / "uploads" / upload.upload_id).open("ab") as file:
        file.write(MESSAGE[-1:])
    with monkeypatch.context() as patch:
        patch.setattr(type(uploads._folder), "unlink", killed)
        with pytest.raises(KilledError):
            uploads.finish(upload)
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE
    seller.restart()
    assert seller.app.state.parts.uploads.sweep() == 1
    assert seller.uploads == []


def test_uploads_are_their_owners_alone_on_the_disk(seller, buyer):
    location = buyer.announce(MESSAGE).headers["location"]
    buyer.append(location, 0, b"\0")
    path = seller.settings.folder / "uploads" / location.rpartition("/")[2]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.stat(seller.settings.folder / "nonces.sqlite").st_mode & 0o777 == 0o600  # noqa: PTH116


def test_seller_and_buyer_may_have_one_account(tmp_path):
    """A seller that tests its own service."""
    seller = Seller(tmp_path)
    seller.book.sessions = [replace(seller.book.sessions[0], buyer=SELLER.address.lower())]
    own = Caller(plain_client(seller.app), SELLER)
    assert own.upload(MESSAGE).status_code == 204
    seller.mailbox.put(RESPONSE, b"response", SELLER)
    assert own.read(RESPONSE).status_code == 200

"""Who may read and write what, over the service's routes."""

from __future__ import annotations

import json
import logging

import pytest

from tests.simulators.service import (
    AUDIT_INPUTS,
    AUDITOR,
    BUYER,
    ENDPOINT,
    OPERATOR,
    OTHER_BUYER,
    OTHER_DIGEST,
    OWNER,
    PACKAGE,
    REQUEST,
    RESPONSE,
    SELLER,
    STRANGER,
    Caller,
    Seller,
    label,
    plain_client,
    signed_headers,
)
from trader.exchange import Kind, SkippedMessageError
from trader.exchange.signing import TRAILER_BYTES, sign_trailer
from trader.service.logs import JsonFormatter
from zk.binding.merkle import keccak256

MESSAGE = bytes(range(256)) * 10


def is_problem(response, status: int, title: str) -> bool:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert "Traceback" not in response.text
    return body["title"] == title and body["status"] == status


# -------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("kind", [Kind.PACKAGE, Kind.CLAIMS, Kind.CERTIFICATE])
def test_anybody_reads_a_listings_messages(seller, buyer, kind):
    named = label(kind)
    seller.mailbox.put(named, MESSAGE, SELLER)
    response = buyer.client.get(f"/v1/messages/{named.name}")
    assert response.content == MESSAGE + sign_trailer(named, keccak256(MESSAGE), SELLER)
    assert response.headers["accept-ranges"] == "bytes"
    head = buyer.client.head(f"/v1/messages/{named.name}")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(MESSAGE) + TRAILER_BYTES)
    assert head.headers["etag"] == response.headers["etag"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=5-", slice(5, None)),
        ("bytes=-105", slice(-105, None)),
        ("bytes=-99999", slice(None)),
        ("bytes=10-99999", slice(10, None)),
    ],
)
def test_ranges(seller, buyer, header, expected):
    seller.mailbox.put(PACKAGE, MESSAGE, SELLER)
    whole = buyer.client.get(f"/v1/messages/{PACKAGE.name}").content
    response = buyer.client.get(f"/v1/messages/{PACKAGE.name}", headers={"Range": header})
    assert response.status_code == 206
    assert response.content == whole[expected]
    start = whole.index(response.content) if len(response.content) > 1 else 0
    assert response.headers["content-range"] == f"bytes {start}-{start + len(response.content) - 1}/{len(whole)}"


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "bytes=5-2", "bytes=-", "items=0-1", "bytes=" + "9" * 40 + "-"])
def test_ranges_that_are_none_give_the_whole(seller, buyer, header):
    seller.mailbox.put(PACKAGE, MESSAGE, SELLER)
    response = buyer.client.get(f"/v1/messages/{PACKAGE.name}", headers={"Range": header})
    assert response.status_code == 200
    assert len(response.content) == len(MESSAGE) + TRAILER_BYTES


def test_a_range_beyond_the_end(seller, buyer):
    seller.mailbox.put(PACKAGE, MESSAGE, SELLER)
    for header in (f"bytes={len(MESSAGE) + TRAILER_BYTES}-", "bytes=-0"):
        response = buyer.client.get(f"/v1/messages/{PACKAGE.name}", headers={"Range": header})
        assert is_problem(response, 416, "no such range")


def test_conditions_on_the_tag(seller, buyer):
    path = f"/v1/messages/{PACKAGE.name}"
    seller.mailbox.put(PACKAGE, MESSAGE, SELLER)
    tag = buyer.client.get(path).headers["etag"]
    assert buyer.client.get(path, headers={"If-None-Match": f'"other", {tag}'}).status_code == 304
    assert buyer.client.get(path, headers={"Range": "bytes=0-3", "If-Range": tag}).status_code == 206
    seller.mailbox.put(PACKAGE, b"another", SELLER)
    response = buyer.client.get(path, headers={"Range": "bytes=0-3", "If-Range": tag})
    assert response.status_code == 200
    assert response.content.startswith(b"another")


def test_a_trades_buyer_reads_its_response_and_nobody_else_does(seller, buyer):
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    assert buyer.read(RESPONSE).content[:-TRAILER_BYTES] == MESSAGE
    for account in (OTHER_BUYER, OWNER):
        assert is_problem(Caller(buyer.client, account).read(RESPONSE), 403, "another's trade")
    assert is_problem(Caller(buyer.client, STRANGER).read(RESPONSE), 403, "this account has no session here")
    assert is_problem(buyer.client.get(f"/v1/messages/{RESPONSE.name}"), 401, "a signed request is needed")
    # Of a trade that there is not, the same is said as of another's.
    assert is_problem(buyer.read(label(Kind.RESPONSE, 99)), 403, "another's trade")


def test_a_buyer_reads_what_it_has_sent_and_no_other_buyer_does(seller, buyer):
    assert buyer.upload(MESSAGE).status_code == 204
    assert buyer.read(REQUEST).content[:-TRAILER_BYTES] == MESSAGE
    assert is_problem(Caller(buyer.client, OTHER_BUYER).read(REQUEST), 404, "no such message")


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "package",
        PACKAGE.name.upper(),
        PACKAGE.name + "%00",
        PACKAGE.name + "%0a",
        PACKAGE.name.replace("-0-", "-00-"),
        PACKAGE.name.replace("31337", "1"),
        PACKAGE.name.replace("ab" * 20, "ac" * 20),
        "package-" + "9" * 60 + "-" + "ab" * 20 + "-0-" + "00" * 32,
        "response-31337-" + "ab" * 20 + "-" + "9" * 60 + "-" + "00" * 32,
    ],
)
def test_names_that_are_no_messages_of_this_market(seller, buyer, name):
    seller.mailbox.put(PACKAGE, MESSAGE, SELLER)
    response = buyer.client.get(f"/v1/messages/{name}")
    assert is_problem(response, 404, "no such message" if "%2f" not in name else "not found")


def test_a_name_too_long_is_refused(buyer):
    assert buyer.client.get(f"/v1/messages/{'a' * 5000}").status_code == 422


# -------------------------------------------------------------------------------------------------------- signing


def test_a_request_is_good_once_also_after_a_restart(seller, buyer):
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    path = f"/v1/messages/{RESPONSE.name}"
    headers = signed_headers(BUYER, "GET", path)
    assert buyer.client.get(path, headers=headers).status_code == 200
    again = buyer.client.get(path, headers=headers)
    assert is_problem(again, 401, "a signed request is needed")
    assert "made before" in again.json()["detail"]
    seller.restart()
    assert plain_client(seller.app).get(path, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "other",
    [
        {"chain_id": 1},
        {"market": "0x" + "ac" * 20},
        {"method": "HEAD"},
        {"url": f"{ENDPOINT}/v1/messages/{label(Kind.MODEL, 1).name}"},
        {"url": f"https://another.example/v1/messages/{RESPONSE.name}"},
        {"headers": "range: bytes=0-5"},
        {"content_length": 1},
        {"lifetime_seconds": -60},
        {"lifetime_seconds": 3600},
    ],
    ids=str,
)
def test_a_signature_is_for_one_request(seller, buyer, other):
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    response = buyer.ask("GET", f"/v1/messages/{RESPONSE.name}", signed=other)
    assert is_problem(response, 401, "a signed request is needed")
    assert response.headers["www-authenticate"] == "EIP712"


def test_a_range_is_part_of_what_is_signed(seller, buyer):
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    assert buyer.read(RESPONSE, Range="bytes=0-4").content == MESSAGE[:5]
    path = f"/v1/messages/{RESPONSE.name}"
    headers = signed_headers(BUYER, "GET", path) | {"Range": "bytes=0-4"}
    assert buyer.client.get(path, headers=headers).status_code == 401


def test_a_small_difference_of_clocks_is_forgiven(seller, buyer):
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    path = f"/v1/messages/{RESPONSE.name}"
    for lifetime in (-25, 325):
        assert buyer.ask("GET", path, signed={"lifetime_seconds": lifetime}).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["", "EIP712", "Basic dXNlcjpwYXNz", "EIP712 " + "a" * 4000, 'EIP712 account="0x' + "0" * 40 + '"'],
)
def test_headers_that_are_no_authorization(buyer, header):
    response = buyer.client.get(f"/v1/messages/{RESPONSE.name}", headers={"Authorization": header})
    assert is_problem(response, 401, "a signed request is needed")


def test_garbled_signatures_are_refused(buyer):
    path = f"/v1/messages/{RESPONSE.name}"
    good = signed_headers(BUYER, "GET", path)["Authorization"]
    start = good.index('signature="0x') + len('signature="0x')
    for bad in (
        "00" * 65,
        "ff" * 65,
        good[start : start + 128] + "05",
        good[start : start + 128] + "ff",
        good[start : start + 128] + "fe",
    ):
        header = good[:start] + bad + '"'
        response = buyer.client.get(path, headers={"Authorization": header})
        assert is_problem(response, 401, "a signed request is needed")


def test_a_stranger_spends_no_nonces(seller, buyer):
    for _ in range(3):
        assert Caller(buyer.client, STRANGER).read(RESPONSE).status_code == 403
    from trader.service.index import NONCES

    with seller.app.state.parts.access._nonces.reading() as connection:
        assert connection.execute(NONCES.select()).all() == []


def test_nonces_are_kept_until_their_requests_are_not_taken_any_more(tmp_path):
    from starlette.requests import Request

    from trader.service.access import Access

    now = [1_000_000.0]
    seller = Seller(tmp_path)
    access = Access(seller.settings, seller.book, clock=lambda: now[0])

    def request(headers):
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        path = b"/v1/messages/x"
        scope = {"type": "http", "method": "GET", "raw_path": path, "path": "/", "query_string": b"", "headers": raw}
        return Request({**scope, "client": ("127.0.0.1", 1), "server": ("x", 1), "scheme": "http"})

    headers = signed_headers(BUYER, "GET", "/v1/messages/x")
    expires = int(headers["Authorization"].split('expires="')[1].split('"')[0])
    now[0] = expires - 200
    assert access.account_of(request(headers)) == BUYER.address.lower()
    # Other requests sweep; up to the last moment that the first one would be taken, it is remembered.
    for now[0] in (expires - 0.5, expires + seller.settings.clock_skew_seconds - 0.5):
        access._next_sweep = 0
        access._spend(_fresh(now[0]))
        with pytest.raises(Exception, match="made before"):
            access.account_of(request(headers))
    now[0] = expires + seller.settings.clock_skew_seconds
    with pytest.raises(Exception, match="Check your clock"):
        access.account_of(request(headers))


def _fresh(now):
    import secrets

    from trader.exchange.request_signing import Authorization

    return Authorization(OWNER.address.lower(), secrets.token_bytes(32), int(now) + 60, b"")


# ---------------------------------------------------------------------------------------------------------- roles


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/metrics", {OWNER.address, OPERATOR.address}),
        ("GET", "/v1/trades", {OWNER.address, AUDITOR.address}),
        ("GET", "/v1/storage", {OWNER.address, OPERATOR.address}),
        ("POST", "/v1/storage/clean", {OWNER.address, OPERATOR.address}),
    ],
)
def test_roles(buyer, method, path, allowed):
    for account in (OWNER, OPERATOR, AUDITOR, BUYER, STRANGER):
        response = buyer.ask(method, path, account=account)
        assert response.status_code == (200 if account.address in allowed else 403), account.address
    assert is_problem(buyer.client.request(method, path), 401, "a signed request is needed")


def test_metrics_for_a_prometheus_with_a_password(tmp_path):
    seller = Seller(tmp_path, metrics_token="hunter2hunter2")
    client = plain_client(seller.app)
    client.get("/healthz")
    response = client.get("/metrics", headers={"Authorization": "Bearer hunter2hunter2"})
    assert response.status_code == 200
    assert 'modelseal_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in response.text
    for wrong in ("Bearer hunter3hunter3", "Bearer ", "Bearer hunter2hunter2x", "Bearer ünicode"):
        assert client.get("/metrics", headers={"Authorization": wrong.encode()}).status_code == 401
    assert "hunter2" not in repr(seller.settings)


def test_routes_in_the_figures_are_few_whatever_is_asked(seller, buyer):
    for number in range(30):
        buyer.client.get(f"/v1/messages/{number}")
        buyer.client.get(f"/nothing/{number}")
        buyer.client.request(f"M{number}", "/healthz")
    text = buyer.ask("GET", "/metrics", account=OWNER).text
    lines = [line for line in text.splitlines() if line.startswith("modelseal_http_requests_total")]
    assert len(lines) < 10


# --------------------------------------------------------------------------------------------------- for everybody


def test_health_readiness_and_listings(seller, buyer):
    assert buyer.client.get("/healthz").json() == {"status": "ok"}
    assert buyer.client.get("/readyz").json() == {"index": True, "loop": True}
    (listing,) = buyer.client.get("/v1/listings").json()
    assert listing["package"] == PACKAGE.name
    seller.mailbox.index.close()
    (seller.folder / "index.sqlite").write_bytes(b"no database at all, whatever it was" * 100)
    response = buyer.client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["index"] is False


def test_only_listed_accounts_are_served(tmp_path):
    seller = Seller(tmp_path, allowed_accounts=frozenset({OTHER_BUYER.address}))
    client = plain_client(seller.app)
    seller.mailbox.put(PACKAGE, MESSAGE, SELLER)
    assert client.get(f"/v1/messages/{PACKAGE.name}").status_code == 200
    assert is_problem(Caller(client).announce(MESSAGE), 403, "this account is not served")
    other = Caller(client, OTHER_BUYER)
    assert other.upload(MESSAGE, named=label(Kind.REQUEST, anchor=OTHER_DIGEST)).status_code == 204


def test_an_address_that_asks_too_often_waits(tmp_path):
    seller = Seller(tmp_path, address_rate=_rate(1, 3))
    client = plain_client(seller.app)
    statuses = [client.get("/v1/listings").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert int(client.get("/v1/listings").headers["retry-after"]) >= 1
    # Forged signatures count too, and good ones don't.
    assert client.get(f"/v1/messages/{RESPONSE.name}", headers={"Authorization": "EIP712 x"}).status_code == 429
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    assert Caller(client).read(RESPONSE).status_code == 200


def test_an_account_that_asks_too_often_waits_and_no_other_does(tmp_path):
    seller = Seller(tmp_path, account_rate=_rate(0.5, 2))
    client = plain_client(seller.app)
    statuses = [Caller(client).read(REQUEST).status_code for _ in range(3)]
    assert statuses == [404, 404, 429]
    assert Caller(client, OTHER_BUYER).read(REQUEST).status_code == 404


def _rate(per_second, burst):
    from trader.service import Rate

    return Rate(per_second, burst)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
def test_no_other_route_takes_a_body(buyer, method):
    response = buyer.client.request(method, "/v1/listings", content=b"x")
    assert is_problem(response, 413, "no body is taken here")


def test_unknown_paths_and_methods_are_problems(buyer):
    assert is_problem(buyer.client.get("/"), 404, "not found")
    assert is_problem(buyer.client.get("/docs"), 404, "not found")
    assert is_problem(buyer.client.put("/healthz"), 405, "method not allowed")


def test_a_node_that_was_never_there_is_a_503(seller, buyer):
    from trader.errors import ChainUnavailableError

    def away(*_):
        raise ChainUnavailableError("the node at http://user:password@node.internal is away")

    seller.book.knows = away
    response = buyer.read(RESPONSE)
    assert is_problem(response, 503, "not at present")
    assert response.headers["retry-after"]
    assert "password" not in response.text


def test_a_defect_tells_nothing(seller, buyer):
    def broken(*_):
        raise ZeroDivisionError("a secret of the inside")

    seller.book.session_of_trade = broken
    response = buyer.read(RESPONSE)
    assert is_problem(response, 500, "a defect of the service")
    assert "secret" not in response.text


def test_logs_are_json_and_hold_no_signature(seller, buyer, caplog):
    caplog.set_level(logging.INFO, "modelseal.service")
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    buyer.read(RESPONSE)
    records = [record for record in caplog.records if record.name == "modelseal.service.access"]
    line = JsonFormatter().format(records[-1])
    entry = json.loads(line)
    assert entry["account"] == BUYER.address.lower()
    assert entry["status"] == 200
    assert entry["sent_bytes"] == len(MESSAGE) + TRAILER_BYTES
    assert entry["path"] == f"/v1/messages/{RESPONSE.name}"
    assert "signature" not in line
    assert "\n" not in line


def test_a_damaged_artifact_is_not_handed_on_and_is_taken_again(seller, buyer):
    assert buyer.upload(MESSAGE).status_code == 204
    stored = seller.mailbox.find(REQUEST.name, BUYER.address)
    path = seller.mailbox.store._path(stored.artifact)
    with open(path, "r+b") as file:  # noqa: PTH123
        file.write(b"XXXX")
    assert is_problem(buyer.read(REQUEST), 404, "no such message")
    assert buyer.upload(MESSAGE).status_code == 204
    assert buyer.read(REQUEST).content.startswith(MESSAGE)


# --------------------------------------------------------------------------------------------- as the seller reads it


def test_what_a_buyer_uploads_the_seller_takes(seller, buyer):
    buyer.upload(MESSAGE)
    assert seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE)) == MESSAGE
    with pytest.raises(SkippedMessageError, match="more than the"):
        seller.mailbox.get(REQUEST, BUYER.address, len(MESSAGE) - 1)


def test_two_buyers_of_one_request_digest_are_apart(seller, buyer):
    """Whoever copies a request's digest into a session of its own does not write over the other's request."""
    from dataclasses import replace

    copied = replace(seller.book.sessions[1], request_digest=seller.book.sessions[0].request_digest)
    seller.book.sessions[1] = copied
    other = Caller(buyer.client, OTHER_BUYER)
    assert buyer.upload(MESSAGE).status_code == 204
    assert other.upload(b"junk").status_code == 204
    assert seller.mailbox.get(REQUEST, BUYER.address, 10_000) == MESSAGE
    assert seller.mailbox.get(REQUEST, OTHER_BUYER.address, 10_000) == b"junk"


def test_a_trade_that_is_over_leaves_nothing_and_takes_nothing(seller, buyer):
    seller.mailbox.put(RESPONSE, MESSAGE, SELLER)
    seller.mailbox.put(PACKAGE, b"package", SELLER)
    assert buyer.upload(b"request").status_code == 204
    assert buyer.announce(b"audit", named=AUDIT_INPUTS).status_code == 201
    seller.mailbox.forget_trade(1)
    seller.mailbox.forget_trade(1)
    assert seller.mailbox.collect(0) != []
    assert [blob.size_bytes for blob in seller.mailbox.store.blobs()] == [len(b"package") + TRAILER_BYTES]
    assert seller.app.state.parts.uploads.sweep() == 0
    assert is_problem(buyer.announce(b"request"), 410, "trade over")
    assert is_problem(buyer.read(RESPONSE), 404, "no such message")


def test_the_description_names_every_route(buyer):
    paths = buyer.client.get("/openapi.json").json()["paths"]
    assert {"/v1/messages/{name}", "/v1/uploads", "/v1/uploads/{upload_id}", "/v1/listings", "/metrics"} <= set(paths)
    assert "head" in paths["/v1/messages/{name}"]

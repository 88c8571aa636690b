"""The service against its own description: whatever the description allows is answered as it says (schemathesis).

Half of the requests are signed, by an account that may do everything, so that they come past the door.
"""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.simulators.service import (
    BUYER,
    ENDPOINT,
    PACKAGE,
    RESPONSE,
    SELLER,
    Caller,
    Seller,
    announcement,
    plain_client,
    signed_headers,
)
from trader.service import AccessRole, Rate

EXAMPLES = 12
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@schemathesis.serializer("application/offset+octet-stream")
def as_it_is(_ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    plenty = Rate(1e9, 10**9)
    roles = {BUYER.address: AccessRole.OWNER}
    seller = Seller(tmp_path_factory.mktemp("service"), roles=roles, account_rate=plenty, address_rate=plenty)
    seller.mailbox.put(PACKAGE, b"package", SELLER)
    seller.mailbox.put(RESPONSE, b"response", SELLER)
    yield seller
    seller.close()


def test_answers_are_as_described(service):
    description = schemathesis.openapi.from_asgi("/openapi.json", service.app)
    location = Caller(plain_client(service.app)).announce(b"x" * 100).headers["location"]
    upload_id = location.rpartition("/")[2]
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) > 10
    asked = {operation.label: Counter() for operation in operations}

    @settings(
        max_examples=12 * len(operations), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(operations).flatmap(lambda operation: operation.as_strategy()), st.booleans(), st.booleans())
    def check(case, signed, real):
        if real:
            _name_what_there_is(case, upload_id)
        if signed:
            headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
            body = case.body if isinstance(case.body, bytes) else b""
            case.headers = signed_headers(BUYER, case.method.upper(), case.formatted_path, headers, body)
        response = case.call_and_validate(checks=CHECKS, base_url=ENDPOINT)
        asked[case.operation.label][response.status_code] += 1

    check()
    print(asked)  # noqa: T201 - shown if it fails
    assert all(asked.values()), asked
    assert {206, 401, 404} <= set(asked["GET /v1/messages/{name}"])
    assert {401, 404} <= set(asked["PATCH /v1/uploads/{upload_id}"])
    assert {201, 401} <= set(asked["POST /v1/uploads"])
    assert not any(status >= 500 and status != 503 for answers in asked.values() for status in answers)


def _name_what_there_is(case, upload_id):
    """Most names that a machine can think of are none of ours."""
    if "name" in (case.path_parameters or {}):
        case.path_parameters["name"] = PACKAGE.name if len(case.path_parameters["name"]) % 2 else RESPONSE.name
        case.headers = {**(case.headers or {}), "Range": "bytes=0-3"} if case.method == "GET" else case.headers
    if "upload_id" in (case.path_parameters or {}):
        case.path_parameters["upload_id"] = upload_id
    if case.operation.label == "POST /v1/uploads":
        case.headers = {**(case.headers or {}), **announcement(b"x" * 100)}

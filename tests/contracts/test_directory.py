"""Announcements: each names who made it. How readers take them: `tests/unit/trader/chain/test_directory.py`."""

from tests.contracts.periphery import event, ground


def test_an_announcement_names_its_account() -> None:
    chain = ground()
    with chain.restored():
        directory = chain.create("Directory")
        announced = directory.functions.announce(chain.buyer, 7, b"https://models.example")
        told = event(chain.send(announced, chain.stranger), directory, "Announced")
    expected = {"market": chain.buyer, "listingId": 7, "account": chain.stranger, "endpoint": b"https://models.example"}
    assert told == expected

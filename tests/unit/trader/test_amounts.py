"""Amounts and durations: exact, bounded, and read back as what was written."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.amounts import (
    MAX_AMOUNT,
    MAX_DURATION_SECONDS,
    format_amount,
    format_duration,
    read_amount,
    read_duration,
    token_units,
)
from trader.errors import CallerError, QuantityError

USDC = token_units("USDC", 6)


@given(st.integers(0, MAX_AMOUNT))
def test_an_amount_is_read_as_what_was_written(amount: int) -> None:
    assert read_amount(format_amount(amount)) == amount


@given(st.integers(0, MAX_AMOUNT), st.integers(0, 38))
def test_an_amount_of_a_token_is_read_as_what_was_written(amount: int, decimals: int) -> None:
    units = token_units("USDC.e", decimals)
    assert read_amount(format_amount(amount, units), units) == amount


@given(st.integers(0, MAX_DURATION_SECONDS))
def test_a_duration_is_read_as_what_was_written(seconds: int) -> None:
    assert read_duration(format_duration(seconds)) == seconds


@given(st.text(max_size=200))
def test_any_other_text_is_refused_as_a_caller_s_fault(text: str) -> None:
    for read in (read_amount, read_duration):
        with suppress(CallerError):
            assert 0 <= read(text) <= MAX_AMOUNT


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("1.5 ether", 15 * 10**17),
        ("20 gwei", 20 * 10**9),
        ("100 wei", 100),
        ("100wei", 100),
        (" 0 wei ", 0),
        ("0.000000000000000001 ether", 1),
        ("340282366920938463463374607431768211455 wei", MAX_AMOUNT),
        ("9007199254740993 wei", 2**53 + 1),
        ("1.000000000000000000 ether", 10**18),
    ],
)
def test_amounts_are_exact(text: str, wei: int) -> None:
    assert read_amount(text) == wei


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "ether", "-1 ether", "+1 ether", "1e18 wei", "0x10 wei", "1,5 ether", "1_000 wei", ".5 ether",
        "1. ether", "1  ether", "1 ether\n", "1\u00a0ether", "1.5 wei", "0.0000000000000000001 ether", "1 Ether",
        "1 ETH", "1 USDC", "340282366920938463463374607431768211456 wei", "NaN ether", "inf ether", "\u0661 ether",
        "1 ether 1 wei", "9" * 200 + " wei", "1/2 ether",
    ],
)  # fmt: skip
def test_what_is_not_an_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        read_amount(text)


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0 wei"),
        (1, "1 wei"),
        (10**18 + 1, "1.000000000000000001 ether"),
        (10**15, "0.001 ether"),
        (10**15 - 1, "999999.999999999 gwei"),
        (20 * 10**9, "20 gwei"),
        (10**20, "100 ether"),
    ],
)
def test_amounts_are_written_in_a_unit_that_suits(wei: int, text: str) -> None:
    assert format_amount(wei) == text


def test_amounts_of_a_token_have_its_decimals() -> None:
    assert (read_amount("200 USDC", USDC), format_amount(1, USDC)) == (200_000_000, "0.000001 USDC")
    for text in ("0.0000001 USDC", "1 ether", "1 usdc"):
        with pytest.raises(QuantityError):
            read_amount(text, USDC)


@pytest.mark.parametrize(("symbol", "decimals"), [("USDC", 39), ("USDC", -1), ("", 6), ("a b", 6), ("1x", 6), ("é", 6)])
def test_a_token_whose_amounts_could_not_be_read_back_is_refused(symbol: str, decimals: int) -> None:
    with pytest.raises(QuantityError):
        token_units(symbol, decimals)


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1])
def test_an_amount_out_of_range_is_not_written(amount: int) -> None:
    with pytest.raises(QuantityError):
        format_amount(amount)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800), ("1.5h", 5400), ("0s", 0)]
)
def test_durations_are_exact(text: str, seconds: int) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "-1s", "0.5s", "1h30m", "1w", "1H", "136y", "4294967296s", "1e3s"])
def test_what_is_not_an_exact_duration_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        read_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(90, "90s"), (5400, "90m"), (86_400, "1d"), (0, "0s"), (3601, "3601s")])
def test_durations_are_written_in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_duration_out_of_range_is_not_written() -> None:
    for seconds in (-1, MAX_DURATION_SECONDS + 1):
        with pytest.raises(QuantityError):
            format_duration(seconds)

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulators.service import Caller, Seller, plain_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def seller(tmp_path: Path) -> Iterator[Seller]:
    seller = Seller(tmp_path)
    yield seller
    seller.close()


@pytest.fixture
def buyer(seller: Seller) -> Caller:
    return Caller(plain_client(seller.app))

"""One question about each of many blocks or transactions, in few requests, where a node takes such.

JSON-RPC 2.0, section 6 ("Batch"). A node far away answers a hundred questions at once as fast as one.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from hexbytes import HexBytes
from web3.exceptions import BlockNotFound, TooManyRequests, TransactionNotFound
from web3.providers.base import JSONBaseProvider

from contracts.logs import may_be_too_large

if TYPE_CHECKING:
    from web3 import Web3

MOST_AT_ONCE: Final = 100
"""What the public nodes that take batches have for a limit, or less."""


class Batches:
    """Asks one node; how many questions it takes at once is found out.

    A refused batch is halved, and each one that is answered lets the next be larger by one. Who refuses two questions
    at once is asked no more so.
    """

    def __init__(self, web3: "Web3") -> None:
        """Nothing is asked yet."""
        self._web3 = web3
        self._most = MOST_AT_ONCE if isinstance(web3.provider, JSONBaseProvider) else 1

    def ask(self, method: Callable[[HexBytes], Any], hashes: Iterable[bytes]) -> Iterator[Any]:
        """Yield what the node answers, in any order: what is missing is to be asked for alone.

        Args:
            method: A read of `web3.eth` by a hash.
            hashes: About what.

        Raises:
            OSError, TooManyRequests: Nobody answers there, or not so often.
        """
        waiting = list(hashes)
        while len(waiting) > 1 and self._most > 1:
            several = waiting[: self._most]
            try:
                answers = self._ask(method, several)
            except (BlockNotFound, TransactionNotFound):  # web3 says it of all that came
                return
            except Exception as error:  # nodes and gateways have each their own words for it, and some of them garbage
                if isinstance(error, (OSError, TooManyRequests)) and not may_be_too_large(error):
                    raise
                self._most = len(several) // 2
                continue
            yield from answers
            del waiting[: len(several)]
            self._most = min(self._most + 1, MOST_AT_ONCE)

    def _ask(self, method: Callable[[HexBytes], Any], hashes: list[bytes]) -> list[Any]:
        with self._web3.batch_requests() as batch:
            for one in hashes:
                batch.add(method(HexBytes(one)))
            return list(batch.execute())

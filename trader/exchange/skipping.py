"""What was found not to be a message is not looked at again until other bytes lie in its place."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trader.errors import EnvironmentFaultError, PartyFolderError, TraderError
from trader.exchange.errors import SkippedMessageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from trader.exchange.signing import Label

LOOK_AGAIN_SECONDS = 60.0
"""After so long it is looked at all the same, in case a file system shows old status."""


@dataclass(frozen=True, slots=True)
class _Skipped:
    """What was skipped, and why."""

    identity: Hashable
    reason: str
    look_again_at: float


class Skipping:
    """What one mailbox has skipped.

    By name and sender: two trades may have one name for their requests, if somebody copies a digest.
    """

    def __init__(self) -> None:
        self._skipped: dict[tuple[str, str], _Skipped] = {}

    def raise_if_skipped(self, label: Label, sender: str, identity: Hashable, *, pausing: bool = False) -> None:
        """Skip what was skipped before.

        Args:
            label: Which message.
            sender: Whose it would be.
            identity: Of what lies in its place.
            pausing: Whether other bytes are skipped as well, for now, if some were before.

        Raises:
            SkippedMessageError: It was.
        """
        skipped = self._skipped.get((label.name, sender))
        if skipped is not None and (
            pausing or (skipped.identity == identity and time.monotonic() < skipped.look_again_at)
        ):
            raise SkippedMessageError(skipped.reason)

    @contextmanager
    def judging(self, label: Label, sender: str, identity: Hashable) -> Iterator[None]:
        """Around the reading of a message: if that finds that it is none, it is skipped from now on.

        Raises:
            SkippedMessageError: It is none.
            EnvironmentFaultError, PartyFolderError: From the block; the message is read again the next time.
        """
        try:
            yield
        except (EnvironmentFaultError, PartyFolderError):  # ours: the message may be right
            raise
        except TraderError as error:
            known = isinstance(error, SkippedMessageError) and str(label) in str(error)
            reason = str(error) if known else f"what lies there for the {label} is not it: {error}"
            self._skipped[label.name, sender] = _Skipped(identity, reason, time.monotonic() + LOOK_AGAIN_SECONDS)
            raise SkippedMessageError(reason) from error

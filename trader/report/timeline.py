"""The timeline of a trade: who did what, how long it took, what it cost in gas; bars while long work is under way."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Self

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from trader.trade import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.console import Console
    from rich.progress import TaskID

    from trader.parties.actor import Step

_WORK = {
    "verify": "checks the listing: all eight checks pass",
    "keygen": "makes fresh encryption keys",
    "encrypt": "encrypts the test set",
    "evaluate": "evaluates the model on ciphertexts",
    "decrypt": "decrypts the answer",
    "prove": "proves the audit samples",
    "download": "checks the encrypted model against its root",
    "check": "decrypts the model and checks every chunk",
    "RequestSent": "sends the encrypted test set",
    "ResponseSent": "sends the encrypted answer",
    "AuditInputsSent": "sends the audit samples, sealed",
    "DeliveryOffered": "sends the encrypted model, sealed",
    "AcceptanceSent": "accepts the delivery by signature",
    "RequestRefused": "goes no further: the audit log says why",
    "TooLate": "keeps what would come too late",
    "MessageSkipped": "skips what is not the other side's message",
    "MessageRepeated": "puts a message again",
}
"""Steps off the chain, in words."""
_WAITING = "Waiting"
"""A step that is none: something is waited for."""
_MOVES = {
    "registerVka": "makes the circuit known to the verifier",
    "list": "lists the model",
    "openSession": "pays the query fee",
    "respond": "commits to the answer, earns the fee",
    "purchase": "locks the price, commits to audit samples",
    "prove": "has the proof verified, locks its bond",
    "accept": "accepts the delivery",
    "reveal": "reveals the key",
    "confirm": "confirms: the escrow pays",
    "dispute": "shows the fault: the escrow slashes",
    "settle": "settles after the dispute window",
    "expire": "ends the overdue trade",
    "withdraw": "takes out what is owed",
}
"""Transactions, in words."""
_STYLES = {Role.SELLER: "cyan", Role.BUYER: "green"}
_NARRATOR = "dim"
_ACTOR_WIDTH = 7
_TEXT_WIDTH = 47


class Timeline(AbstractContextManager["Timeline"]):
    """Prints one line per step as it ends, within 80 columns, and keeps the steps for the report.

    Attributes:
        steps: All steps so far, in order.
    """

    def __init__(self, console: Console) -> None:
        self.steps: list[Step] = []
        self._remark = ""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal alone while the block asks something there."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def say(self, text: str) -> None:
        """Print a remark between steps, once; plain text, since errors quote the other party."""
        if text == self._remark:
            return
        self._remark = text
        self._progress.console.print(escape(text), style=_NARRATOR, highlight=False)

    def observe(self, step: Step) -> None:
        """Print the line of a party's step that has ended."""
        self.steps.append(step)
        if step.name == _WAITING:
            self.say(f"{step.role.value:<{_ACTOR_WIDTH}} waits: {step.remark}")
            return
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()
        style = _STYLES[step.role]
        actor = f"[{style}]{step.role.value:<{_ACTOR_WIDTH}}[/]"
        cost = f"{step.gas_used:>9,} gas" if step.transaction_hash else _size(step.message_bytes)
        words = _MOVES if step.transaction_hash else _WORK
        what = f"{words.get(step.name, step.name):<{_TEXT_WIDTH}}"
        self._progress.console.print(f"{actor} {what} {step.seconds:6.2f} s {cost}", highlight=False)
        if step.remark:
            self.say(step.remark)

    def progress(self, name: str, done: int, total: int) -> None:
        """Long work is under way."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(_WORK.get(name, name))
        self._progress.update(self._tasks[name], completed=done, total=total)

    def seconds(self, *names: str) -> float:
        """Time that the steps off the chain of these names took together."""
        return sum(step.seconds for step in self.steps if step.name in names and not step.transaction_hash)

    def gas(self) -> dict[str, int]:
        """Gas of each transaction; of the last where one was made more than once."""
        return {step.name: step.gas_used for step in self.steps if step.transaction_hash}

    def gas_of(self, role: Role) -> int:
        """Return the gas of all transactions of a role."""
        return sum(step.gas_used for step in self.steps if step.role is role)

    def gas_cost_wei(self, role: Role) -> int:
        """Return what a role's transactions cost in gas, in wei."""
        return sum(step.gas_cost_wei for step in self.steps if step.role is role)

    def message_bytes(self, name: str) -> int:
        """Size of the message that the step of this name sent."""
        return sum(step.message_bytes for step in self.steps if step.name == name)


def _size(message_bytes: int) -> str:
    return f"{message_bytes / 1e6:>9.2f} MB" if message_bytes else ""

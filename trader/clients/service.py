"""A seller's service: it watches the chain, makes the seller's moves, and answers buyers over HTTP.

One thread makes the moves (`trader.parties.desk`), worker processes evaluate and prove (`trader.jobs`), and another
thread serves HTTP (`trader.service`) on a connection of its own. A service that was killed goes on when it is started
again: everything that it must know is on the chain, in its folder, and in its packages.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, Self, TypeVar

from cryptography.fernet import Fernet

from ledger import AuditLog
from trader.clients.http import make_app, serving
from trader.clients.shop import Shop
from trader.clients.status import SellerStatus
from trader.errors import TraderError
from trader.exchange import MailboxFaultError
from trader.jobs import JobQueue, QueueEngine, Workers
from trader.parties.desk import Desk
from trader.parties.engine import HERE
from trader.parties.folder import AUDIT_LOG
from trader.parties.patience import ACCIDENTS, patiently
from trader.service.server import Listening
from trader.service.store import StoreMailbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.clients.connection import Connection
    from trader.parties.actor import Step
    from trader.parties.engine import Engine
    from trader.settings.seller import SellerSettings

T = TypeVar("T")
QUEUE: Final = "jobs.sqlite"
TIDY_SECONDS: Final = 600.0
DASK: Final = "dask"


class SellerService:
    """A running service. Used as a context manager; `run` serves until it is told to stop.

    Attributes:
        settings: What is sold, and how.
        shop: The listings.
        desk: The trades.
        status: What the service tells of itself.
        workers: The processes that evaluate and prove, if they are this machine's.
        say: Tells in a line what happens.
    """

    def __init__(
        self,
        settings: SellerSettings,
        connection: Connection,
        *,
        say: Callable[[str], None],
        observe: Callable[[Step], None] = lambda _: None,
    ) -> None:
        """Say what is to be served; entering the context opens everything.

        Args:
            settings: What is sold, and how.
            connection: Chain, market and account.
            say: Told in a line what happens.
            observe: Told of every step.
        """
        self.settings = settings
        self.workers: Workers | None = None
        self._connection = connection
        self.say = _heedless(say)
        self._observe = _heedless(observe)
        self._stack = ExitStack()
        self._next_tidying = 0.0
        self._forgotten: set[int] = set()

    def __enter__(self) -> Self:
        """Take the folder, list the models, start workers and HTTP.

        Raises:
            TraderError: As `Shop.list_models`, and where a part can't be opened.
        """
        with ExitStack() as stack:
            self.settings.folder.mkdir(parents=True, exist_ok=True)
            self._connection.deploy_market()
            market = self._connection.market
            log = stack.enter_context(AuditLog.open(self.settings.folder / AUDIT_LOG))
            engine = self._open_engine(stack)
            self.shop = Shop(self.settings, self._connection, log, engine, self._observe)
            stack.callback(self.shop.close)
            self.desk = Desk(self.shop.market, self.say)
            self.desk.listings = patiently(market, lambda: self.shop.list_models(self.say), self.say)
            self.status = SellerStatus(self.desk, self.shop, self.workers)
            if self.settings.service is not None:
                http = self.settings.service
                own_market = patiently(market, self._connection.open_market, self.say)
                own_market.read_through(log)
                app = make_app(http, self.shop, self.desk, self.status, own_market)
                listening = Listening(http.host, http.port, http.certificate, http.certificate_key)
                stack.enter_context(serving(app, listening))
                self.say(f"buyers reach this seller at {http.url} (listening at {http.host}:{http.port})")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End HTTP, workers and everything else."""
        self._stack.close()

    def run(
        self,
        stop: Callable[[], bool],
        sleep: Callable[[float], object] = time.sleep,
        reread: Callable[[], SellerSettings | None] = lambda: None,
    ) -> None:
        """Serve until `stop` says so; a step that was begun is ended before.

        Args:
            stop: Asked before each step.
            sleep: Waits between two looks at the chain; may end earlier.
            reread: Asked before each step for settings whose listings are to be served from now on.
        """
        while not stop():
            self._follow(reread)
            if self.step():
                continue
            sleep(self.desk.pause_seconds)

    def change_listings(self, settings: SellerSettings) -> None:
        """Serve the listings of other settings from now on; everything else of them is for the next start.

        Trades of listings that are closed by it go on to their ends.

        Raises:
            TraderError: As `Shop.list_models`; what was served is served on.
        """
        before = self.shop.settings
        self.shop.settings = before.model_copy(update={"listings": settings.listings})
        try:
            served = self.shop.list_models(self.say)
        except BaseException:
            self.shop.settings = before
            raise
        self.desk.listings = self.desk.listings | served
        self.shop.close_dropped(self.say)

    def _follow(self, reread: Callable[[], SellerSettings | None]) -> None:
        try:
            settings = reread()
            if settings is not None:
                self.change_listings(settings)
                self.say("read the settings again: " + ", ".join(str(each.package) for each in settings.listings))
        except TraderError as error:
            self.say(f"the settings were read again, and can't be followed: {error}")

    def has_ended(self, trades: int | None) -> bool:
        """Return whether so many answered trades have ended, and none is under way; never, if None."""
        return trades is not None and len(self.desk.ended) >= trades and not self.desk.under_way

    def step(self) -> bool:
        """Make one step of the most urgent trade; return whether there was something to do."""
        stepped = self.desk.step()
        self.status.update()
        if time.monotonic() >= self._next_tidying:
            self._next_tidying = time.monotonic() + TIDY_SECONDS
            self._tidy()
        return stepped

    # ---------------------------------------------------------------------------------------------------------- inside

    def _open_engine(self, stack: ExitStack) -> Engine:
        jobs = self.settings.jobs
        if jobs.engine == "here":
            return HERE
        if jobs.engine.startswith(DASK):
            from trader.jobs.cluster import DaskEngine

            scheme = "tls" if jobs.engine.startswith(f"{DASK}+tls") else "tcp"
            cluster = DaskEngine(f"{scheme}://{jobs.engine.partition('://')[2]}")
            stack.callback(cluster.close)
            return cluster
        secret, path = Fernet.generate_key(), self.settings.folder / QUEUE
        queue = JobQueue(path, secret)
        stack.callback(queue.close)
        queue.clear()
        self.workers = stack.enter_context(Workers(path, secret, jobs.workers))
        return QueueEngine(queue)

    def _tidy(self) -> None:
        """Close what can't be proven any more; let messages of ended trades go, and artifacts of nothing."""
        try:
            self.shop.publish_claims()
            self.shop.close_used_up(self.say)
        except ACCIDENTS as error:
            self.say(str(error))
        mailbox = self.shop.mailbox
        if not isinstance(mailbox, StoreMailbox):
            return
        try:
            for trade_id in sorted((self.desk.ended | self.desk.left) - self._forgotten):
                mailbox.forget_trade(trade_id)
                self._forgotten.add(trade_id)
            mailbox.collect()
        except MailboxFaultError as error:
            self.say(str(error))


def _heedless(tell: Callable[[T], None]) -> Callable[[T], None]:
    """Return what tells if it can: a terminal that is gone, or a log on a full disk, ends no trade."""

    def told(what: T) -> None:
        with suppress(OSError):
            tell(what)

    return told

"""A witness as a log, a liar and a monitor meet it: over HTTP where it matters, else where it decides."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from ledger import AuditLog, Checkpoint
from ledger.errors import ForkError, LedgerUnavailableError, NoteError, SignatureError
from ledger.merkle import EMPTY_ROOT
from ledger.notes.note import SignedNote
from ledger.publishing.submission import cosign
from ledger.reading.merkle_proofs import prove_sizes
from ledger.witness.app import make_app
from ledger.witness.protocol import Witness
from ledger.witness.request import MAXIMUM_REQUEST_BYTES, AddCheckpoint
from ledger.witness.state import WitnessState, hash_origin
from tests.simulators.ledger_records import step
from tests.simulators.signed_logs import NOW, ORIGIN, SignedLog, log_keys, signed_log, witness_keys

URL = "http://witness.test"


@pytest.fixture
def state(tmp_path: Path) -> WitnessState:
    return WitnessState(tmp_path / "witness.sqlite")


@pytest.fixture
def witness(state: WitnessState) -> Witness:
    return Witness(witness_keys(), log_keys().public, state, clock=lambda: NOW)


@pytest.fixture
def client(witness: Witness) -> Iterator[httpx.Client]:
    with TestClient(make_app(witness), base_url=URL) as client:
        yield client


@pytest.fixture
def log(tmp_path: Path) -> SignedLog:
    return signed_log(tmp_path / "audit.sqlite", 5)


def other_log(tmp_path: Path, entries: int) -> SignedLog:
    """A second history under the same name and keys."""
    log = AuditLog.open(tmp_path / "other.sqlite")
    log.append_all(step(number, trade_id=8) for number in range(entries))
    log.give_origin(ORIGIN)
    return SignedLog(log, log_keys().sign(str(log.checkpoint()), NOW))


def submit(client: httpx.Client, log: SignedLog, old: int) -> httpx.Response:
    proof = prove_sizes(log.log, old, log.note.checkpoint().entries)
    return client.post("/add-checkpoint", content=str(AddCheckpoint(old, proof, log.note)).encode())


def test_a_growing_log_is_cosigned_and_monitored(client: httpx.Client, log: SignedLog, tmp_path: Path) -> None:
    monitor = f"/{hash_origin(ORIGIN)}/checkpoint"
    assert client.get(monitor).status_code == 404
    for entries in (5, 5, 12, 300):
        log = signed_log(tmp_path / "audit.sqlite", entries)
        cosigned = cosign(log.log, log.note, URL, witness_keys().public, client)
        assert set(cosigned.verify(witness_keys().public).values()) == {NOW}
        shown = SignedNote.parse(client.get(monitor).text)
        assert shown.checkpoint() == log.note.checkpoint()
        assert len(shown.verify([*witness_keys().public, *log_keys().public])) == 4


def test_answers_of_the_specification(client: httpx.Client, log: SignedLog, tmp_path: Path) -> None:
    body = str(AddCheckpoint(0, (), log.note))
    assert submit(client, log, 3).status_code == 409
    first = client.post("/add-checkpoint", content=body)
    assert (first.status_code, first.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert all(line.startswith("— ") for line in first.text.splitlines())
    conflict = client.post("/add-checkpoint", content=body)
    assert (conflict.status_code, conflict.text) == (409, "5\n")
    assert conflict.headers["content-type"] == "text/x.tlog.size"
    unknown = Checkpoint(5, bytes(32), "example.com/unknown")
    for content, status in [
        (b"", 400),
        (b"old 05\n\n" + str(log.note).encode(), 400),
        (b"old -1\n\n" + str(log.note).encode(), 400),
        (b"old 5\nAAAA\n\n" + str(log.note).encode(), 400),
        (b"old 5\n" + b"A" * 43 + b"=\n" * 64 + b"\n" + str(log.note).encode(), 400),
        (f"old 6\n\n{log.note}".encode(), 400),
        (f"old 5\n\n{log_keys('example.com/unknown').sign(str(unknown), NOW)}".encode(), 404),
        (f"old 5\n\n{witness_keys().sign(log.note.text, NOW)}".encode(), 403),
        (f"old 5\n\n{log.note}".replace("\n5\n", "\n6\n").encode(), 403),
        (f"old 5\n{'A' * 43}=\n\n{log.note}".encode(), 422),
        (b"x" * (MAXIMUM_REQUEST_BYTES + 1), 413),
    ]:
        assert client.post("/add-checkpoint", content=content).status_code == status, content[:80]


def test_an_unknown_origin_is_not_confused_by_a_known_key(client: httpx.Client) -> None:
    """The log's own key under a checkpoint of another name."""
    note = log_keys().sign(str(Checkpoint(1, bytes(32), "example.com/else")), NOW)
    assert client.post("/add-checkpoint", content=str(AddCheckpoint(0, (), note)).encode()).status_code == 404


def test_a_fork_is_refused_and_kept(client: httpx.Client, log: SignedLog, state: WitnessState, tmp_path: Path) -> None:
    assert submit(client, log, 0).status_code == 200
    for entries in (5, 9):
        fork = other_log(tmp_path, entries)
        assert submit(client, fork, 5).status_code == 422
        with pytest.raises(ForkError, match="another history"):
            cosign(fork.log, fork.note, URL, witness_keys().public, client)
        fork.log.close()
        (tmp_path / "other.sqlite").unlink()
    for ours, theirs in state.evidence():  # two signatures of the log's own on two trees of one size
        assert ours.checkpoint().entries == theirs.checkpoint().entries == 5
        assert ours.checkpoint().root_hash != theirs.checkpoint().root_hash
        assert ours.verify(log_keys().public)
        assert theirs.verify(log_keys().public)
    assert len(state.evidence()) == 2
    assert submit(client, log, 5).status_code == 200


def test_a_shortened_log_is_refused(client: httpx.Client, log: SignedLog, tmp_path: Path) -> None:
    longer = signed_log(tmp_path / "longer.sqlite", 9)
    cosign(longer.log, longer.note, URL, witness_keys().public, client)
    assert submit(client, log, 0).text == "9\n"
    with pytest.raises(ForkError, match="seen 9 entries"):
        cosign(log.log, log.note, URL, witness_keys().public, client)


@pytest.mark.parametrize(("root", "status"), [(EMPTY_ROOT, 200), (bytes(32), 422)])
def test_the_empty_tree_has_one_root(client: httpx.Client, root: bytes, status: int) -> None:
    note = log_keys().sign(str(Checkpoint(0, root, ORIGIN)), NOW)
    assert client.post("/add-checkpoint", content=str(AddCheckpoint(0, (), note)).encode()).status_code == status
    proven = AddCheckpoint(0, (bytes(32),), note)
    assert client.post("/add-checkpoint", content=str(proven).encode()).status_code == 422


def test_another_witness_or_none_is_noticed(client: httpx.Client, log: SignedLog) -> None:
    with pytest.raises(SignatureError, match="did not sign"):
        cosign(log.log, log.note, URL, witness_keys("else.example/w").public, client)
    for answer in (httpx.Response(500), httpx.Response(200, text="nonsense"), httpx.Response(409, text="many\n")):
        broken = httpx.Client(transport=httpx.MockTransport(lambda _, answer=answer: answer))
        with pytest.raises((LedgerUnavailableError, NoteError)):
            cosign(log.log, log.note, URL, witness_keys().public, broken)


def test_sizes_never_fall_whoever_asks_at_once(witness: Witness, tmp_path: Path) -> None:
    """The race of the specification: of many requests from one size, one is signed."""
    log = signed_log(tmp_path / "audit.sqlite", 40)
    bodies = []
    for entries in range(1, 33):
        with_entries = signed_log(tmp_path / f"{entries}.sqlite", entries)
        bodies.append(str(AddCheckpoint(0, (), with_entries.note)).encode())
        with_entries.log.close()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(witness.add_checkpoint, bodies))
    signed = [entries for entries, answer in enumerate(answers, start=1) if answer.status == 200]
    assert len(signed) == 1
    assert {answer.body for answer in answers if answer.status == 409} == {f"{signed[0]}\n"}
    log.log.close()


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_no_request_makes_the_reader_fail_otherwise(body: bytes) -> None:
    try:
        AddCheckpoint.parse(body)
    except NoteError:
        return


SIGNER = """
import sys
from pathlib import Path
from ledger.witness.state import WitnessState
from ledger.notes.note import NoteSignature, SignedNote
state = WitnessState(Path(sys.argv[1]))
for size in range(int(sys.argv[2]), 100_000):
    with state.turn("o") as turn:
        turn.advance(SignedNote(f"o\\n{size}\\n" + "A" * 43 + "=\\n", (NoteSignature("o", b"abcd", b"x"),)))
    print(size, flush=True)
"""


def test_a_killed_witness_has_written_down_what_it_signed(tmp_path: Path) -> None:
    path, confirmed = tmp_path / "witness.sqlite", 0
    for _ in range(3):
        command = [sys.executable, "-c", SIGNER, str(path), str(confirmed + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4]) as process:
            process.stdout.readline()
            time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            confirmed = max(confirmed, *map(int, process.stdout), 0)
        assert WitnessState(path).latest(hash_origin("o")).checkpoint().entries >= confirmed

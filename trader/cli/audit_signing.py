"""`modelseal audit keygen | sign | cosign | tiles`: what the keeper of a log does for those who read it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from trader.cli.audit_options import DEFAULT_LOG, KeysFile, LogFile, PolicyFile, open_log, read_notes, read_policy
from trader.cli.options import ConfirmationsOption  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, print_json_line, results
from trader.cli.passwords import PasswordFile, ask_password
from trader.errors import CallerError

HTTP_TIMEOUT_SECONDS = 30.0

NoteFile = Annotated[Path, typer.Argument(metavar="FILE", help="The signed checkpoint.")]


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make; FILE.pub is for everybody.")],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Whose keys: like a URL without a scheme, `example.com/trades`.")
    ],
    witness: Annotated[bool, typer.Option("--witness", help="Keys of a witness, not of a log.")] = False,
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Make signing keys of a log or a witness (Ed25519 and ML-DSA-44), encrypted; a log is called like its keys."""
    from ledger.notes.keyfile import KeyRole, generate_keys, write_keys

    keys = generate_keys(name, KeyRole.WITNESS if witness else KeyRole.LOG)
    public = write_keys(file, keys, ask_password(password_file, f"the new keys in {file}", confirm=True))
    if as_json:
        print_json_line({"keys": str(file), "public": str(public), "vkeys": list(map(str, keys.public))})
        return
    results.print(f"keys of {escape(keys.name)}: {escape(str(file))}", highlight=False, soft_wrap=True)
    results.print(f"for everybody: {escape(str(public))}", highlight=False, soft_wrap=True)


def sign(
    file: NoteFile,
    keys: KeysFile,
    log_file: LogFile = DEFAULT_LOG,
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign the log as it is now, and write the checkpoint to FILE; refused if it contradicts what was signed before."""
    from ledger.files import write_whole
    from ledger.notes.keyfile import read_keys
    from ledger.publishing.signing import sign_checkpoint
    from ledger.reading.answers import commit_index

    opened = read_keys(keys, ask_password(password_file, str(keys)))
    with open_log(log_file) as log:
        commit_index(log)  # so that answers are proven complete up to this checkpoint
        note = sign_checkpoint(log, opened, keys, int(time.time()))
    try:
        write_whole(file, str(note).encode(), mode=0o644)
    except OSError as error:
        raise CallerError(f"{file} can't be written: {error.strerror}") from error
    entries = note.checkpoint().entries
    if as_json:
        print_json_line({"checkpoint": str(file), "origin": opened.name, "entries": entries})
        return
    results.print(f"{entries} entries of {escape(opened.name)} signed: {escape(str(file))}", highlight=False)


def cosign(
    file: NoteFile,
    policy: PolicyFile,
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Ask each witness that the policy has a URL of to sign the checkpoint in FILE, and write its signature there."""
    import httpx

    from ledger.errors import LedgerUnavailableError
    from ledger.files import write_whole
    from ledger.publishing.submission import cosign as cosign_at

    known = read_policy(policy, None)
    if known is None or not known.urls:
        raise CallerError("name a --policy with a URL behind each witness")
    (note,) = read_notes([file])
    answers: dict[str, str] = {}
    with httpx.Client(timeout=HTTP_TIMEOUT_SECONDS) as client, open_log(log_file) as log:
        for name, url in known.urls.items():
            try:
                note = cosign_at(log, note, url, [known.witnesses[name]], client)
                answers[name] = "signed"
            except LedgerUnavailableError as error:  # the others may be enough
                answers[name] = str(error)
    write_whole(file, str(note).encode(), mode=0o644)
    enough = known.is_witnessed(note.verify(known.witnesses.values()))
    if as_json:
        print_json_line({"checkpoint": str(file), "witnesses": answers, "quorum": enough})
    else:
        for name, answer in answers.items():
            results.print(f"{escape(name)}: {escape(answer)}", highlight=False, soft_wrap=True)
        results.print("the quorum is met" if enough else "the quorum is not met", highlight=False)
    if not enough:
        raise LedgerUnavailableError("too few witnesses have signed: repeat the command later")


def anchor(
    file: NoteFile,
    account: Annotated[str, typer.Option("--account", metavar="ACCOUNT", help="Keeps the log, and pays: a keyfile.")],
    chain: Annotated[str, typer.Option(metavar="URL", help="JSON-RPC node.", envvar="ETH_RPC_URL")],
    confirmations: ConfirmationsOption = None,
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the checkpoint in FILE to a chain, where it can't be taken back (`audit verify --anchored-by`)."""
    from trader.chain import Chain
    from trader.chain.anchors import Anchors
    from trader.chain.keystores import open_account

    (note,) = read_notes([file])
    signer = open_account(account, lambda purpose: ask_password(password_file, purpose))
    checkpoint = note.checkpoint()
    receipt = Anchors(Chain.connect(chain, confirmations=confirmations)).anchor(signer, checkpoint)
    transaction = None if receipt is None else receipt.transaction_hash
    if as_json:
        gas = None if receipt is None else receipt.gas_used
        print_json_line({"entries": checkpoint.entries, "transaction": transaction, "gas_used": gas})
        return
    done = "is anchored already" if transaction is None else f"anchored in transaction {transaction}"
    results.print(f"{checkpoint.entries} entries of {escape(checkpoint.origin)}: {done}", highlight=False)


def tiles(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What a web server is to show.")],
    note_file: Annotated[Path, typer.Option("--checkpoint", metavar="FILE", help="The signed checkpoint.")],
    log_file: LogFile = DEFAULT_LOG,
    as_json: JsonFlag = False,
) -> None:
    """Write the log, up to a signed checkpoint, as files for standard clients (c2sp.org/tlog-tiles)."""
    from ledger.publishing.tiles import write_tiles

    (note,) = read_notes([note_file])
    with open_log(log_file) as log:
        written = write_tiles(log, note, folder)
    entries = note.checkpoint().entries
    if as_json:
        print_json_line({"folder": str(folder), "entries": entries, "files": written})
        return
    results.print(f"{entries} entries in {escape(str(folder))}: {written} files written", highlight=False)

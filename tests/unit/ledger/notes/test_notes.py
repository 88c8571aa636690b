"""Notes, keys and cosignatures: the vectors of the specifications, other people's readers, and notes that must fail."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sigstore._internal.rekor.checkpoint import LogCheckpoint
from sigstore._internal.rekor.checkpoint import SignedCheckpoint as SigstoreCheckpoint

from ledger import Checkpoint
from ledger.errors import InvalidRecordError, LedgerError, NoteError, SignatureError
from ledger.notes.keys import SignatureType, VerifierKey, message_to_sign
from ledger.notes.note import MAXIMUM_SIGNATURES, NoteSignature, SignedNote
from tests.simulators.signed_logs import NOW, ORIGIN, log_keys, witness_keys

# signed-note v1.0.0, "Verifier keys", "Example".
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
# golang.org/x/mod/sumdb/note, documentation of the package.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
# tlog-cosignature, the example's checkpoint.
CHECKPOINT = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"""


@pytest.mark.parametrize(("vkey", "note"), [(VKEY, NOTE), (GO_VKEY, GO_NOTE)], ids=["c2sp", "go"])
def test_published_vectors(vkey: str, note: str) -> None:
    key, parsed = VerifierKey.parse(vkey), SignedNote.parse(note)
    assert str(key) == vkey
    assert str(parsed) == note
    assert parsed.verify([key]) == {key: None}
    with pytest.raises(SignatureError):
        SignedNote.parse(note.replace("your", "my").replace("example m", "m")).verify([key])


def test_cosigned_messages_are_those_of_the_specification() -> None:
    assert message_to_sign(SignatureType.ED25519_COSIGNATURE, "w", CHECKPOINT, 1679315147) == (
        b"cosignature/v1\ntime 1679315147\n" + CHECKPOINT.encode()
    )
    root = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    origin = b"example.com/behind-the-sofa"
    message = message_to_sign(SignatureType.ML_DSA_44_COSIGNATURE, "w1.example", CHECKPOINT, 5)
    assert message == (
        b"subtree/v1\n\0" + b"\x0aw1.example" + (5).to_bytes(8, "big") + bytes([len(origin)]) + origin
        + bytes(8) + (20852163).to_bytes(8, "big") + root
    )  # fmt: skip


def test_a_log_and_its_witnesses_sign_one_checkpoint() -> None:
    log, witness = log_keys(), witness_keys()
    checkpoint = Checkpoint(3, bytes(32), ORIGIN)
    note = log.sign(str(checkpoint), NOW).with_signatures(witness.signatures(str(checkpoint), NOW + 1))
    parsed = SignedNote.parse(str(note))
    assert parsed == note
    ed25519, ml_dsa = log.public
    assert parsed.verify([*log.public, *witness.public]) == {
        ed25519: None,
        ml_dsa: NOW,
        **dict.fromkeys(witness.public, NOW + 1),
    }
    assert parsed.checkpoint() == checkpoint
    assert {key.type for key in (*log.public, *witness.public)} == set(SignatureType)


def test_sigstore_reads_our_checkpoint() -> None:
    note = log_keys().sign(str(Checkpoint(3, bytes(range(32)), ORIGIN)), NOW)
    theirs = SigstoreCheckpoint.from_text(str(note))
    assert theirs.checkpoint == LogCheckpoint(
        origin=ORIGIN, log_size=3, log_hash=bytes(range(32)).hex(), other_content=[]
    )
    line = theirs.signed_note.signatures[0]
    key = log_keys().public[0]
    assert (line.name, line.sig_hash) == (ORIGIN, key.key_id)
    assert base64.b64decode(line.signature) == note.signatures[0].signature


def test_every_bit_of_a_signed_checkpoint_counts() -> None:
    """A change in text, name, key hash, time or signature: refused, or the signature is a stranger's."""
    keys = (*log_keys().public, *witness_keys().public)
    text = str(Checkpoint(3, bytes(range(32)), ORIGIN))
    note = str(log_keys().sign(text, NOW).with_signatures(witness_keys().signatures(text, NOW))).encode()
    for position in range(0, len(note), 13):
        changed = bytearray(note)
        changed[position] ^= 1
        try:
            verified = SignedNote.parse(changed.decode()).verify(keys)
        except (NoteError, SignatureError, UnicodeDecodeError):
            continue
        assert len(verified) < len(keys), position


def test_a_signature_of_another_name_type_or_text_is_refused() -> None:
    text = str(Checkpoint(3, bytes(32), ORIGIN))
    witness = witness_keys()
    ed25519, ml_dsa = witness.public
    lines = witness.signatures(text, NOW)
    for key, line in ((ed25519, lines[0]), (ml_dsa, lines[1])):
        assert key.verify(text, line.signature) == NOW
        later = (NOW + 1).to_bytes(8, "big") + line.signature[8:]
        for other in (line.signature[8:], line.signature[:-1], b"", later, line.signature + b"\0"):
            with pytest.raises(SignatureError):
                key.verify(text, other)
    renamed = VerifierKey("else.example", ml_dsa.type, ml_dsa.public)
    with pytest.raises(SignatureError):
        renamed.verify(text, lines[1].signature)
    plain = VerifierKey(ed25519.name, SignatureType.ED25519, ed25519.public)
    with pytest.raises(SignatureError):  # a witness's signature is none of a log's
        plain.verify(text, lines[0].signature[8:])


def test_ml_dsa_leaves_extension_lines_unsigned_and_ed25519_does_not() -> None:
    text = str(Checkpoint(3, bytes(32), ORIGIN))
    note = witness_keys().sign(text, NOW)
    longer = SignedNote(f"{text}more\n", note.signatures)
    ed25519, ml_dsa = witness_keys().public
    assert longer.verify([ml_dsa]) == {ml_dsa: NOW}
    with pytest.raises(SignatureError):
        longer.verify([ed25519])


STRANGER = VerifierKey("x", SignatureType.ED25519, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
LINE = str(NoteSignature("x", STRANGER.key_id, bytes(64)))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        f"text\n\n{LINE[:-1]}",
        f"text\n\n{LINE}rest",
        f"text\n\n{LINE[1:]}",
        f"te\txt\n\n{LINE}",
        f"te\rxt\n\n{LINE}",
        f"text\n\n{LINE.replace('=', '')}",
        f"text\n\n{LINE.replace(' x ', ' x+y ')}",
        f"text\n\n{LINE.replace(' x ', '  ')}",
        "text\n\n" + LINE.replace(" x ", " x\N{NO-BREAK SPACE}y "),
        "text\n\n— x AAAAAA==\n",
        f"text\n\n{LINE * (MAXIMUM_SIGNATURES + 1)}",
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(NoteError):
        SignedNote.parse(note)


def test_sixteen_signatures_are_accepted_and_strangers_passed_over() -> None:
    note = SignedNote.parse(f"text\n\nmore\n\n{LINE * 16}")
    assert note.text == "text\n\nmore\n"
    assert note.verify([]) == {}


@pytest.mark.parametrize(
    "text",
    [
        "origin\n3\n",
        "\n3\n" + "A" * 43 + "=\n",
        "origin\n03\n" + "A" * 43 + "=\n",
        "origin\n-3\n" + "A" * 43 + "=\n",
        "origin\n3\n" + "A" * 42 + "B=\n",
        "origin\n3\n" + "A" * 43 + "=",
        "origin\n3\n" + "A" * 43 + "=\n\nextension\n",
        "origin\n9999999999999999999\n" + "A" * 43 + "=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidRecordError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "vkey",
    ["", "a+b+c", VKEY[:-4], VKEY.replace("530d", "530e"), VKEY.replace("foo", "fo o"), VKEY.replace("+Ae", "+Be")],
)
def test_what_is_no_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(vkey)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode(errors="replace")))
def test_no_text_makes_the_readers_fail_otherwise(text: str) -> None:
    for parse in (SignedNote.parse, NoteSignature.parse, VerifierKey.parse, Checkpoint.parse):
        try:
            parse(text)
        except LedgerError:
            continue


@given(
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=60),
)
def test_checkpoints_are_read_back(entries: int, root: bytes, origin: str) -> None:
    checkpoint = Checkpoint(entries, root, origin)
    assert Checkpoint.parse(str(checkpoint)) == checkpoint

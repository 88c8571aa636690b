"""Policies: whose signatures are enough, who counts once, and files that must be refused."""

import pytest

from ledger import Checkpoint
from ledger.errors import NoteError, SignatureError
from ledger.notes.note import NoteSignature, SignedNote
from ledger.notes.policy import MAXIMUM_POLICY_CHARACTERS, Policy, parse_policy
from tests.simulators.signed_logs import NOW, ORIGIN, WITNESSES, log_keys, witness_keys

CHECKPOINT = Checkpoint(9, bytes(range(32)), ORIGIN)
LOG = str(log_keys().public[0])
W1, W2, W3 = (str(witness_keys(name).public[0]) for name in WITNESSES)
TWO_OF_THREE = f"""# two of three
log {LOG}
witness w1 {W1} https://w1.example/
witness w2\t{W2}
  witness w3 {W3}
group most 2 w1 w2 w3
quorum most
"""


def signed_by(*names: str) -> SignedNote:
    note = log_keys().sign(str(CHECKPOINT), NOW)
    for name in names:
        note = note.with_signatures(witness_keys(name).signatures(note.text, NOW))
    return note


def test_two_of_three_witnesses() -> None:
    policy = parse_policy(TWO_OF_THREE)
    assert policy.urls == {"w1": "https://w1.example/"}
    for names in (WITNESSES, WITNESSES[:2], WITNESSES[1:]):
        checkpoint, verified = policy.verify(signed_by(*names))
        assert checkpoint == CHECKPOINT
        assert len(verified) == len(names) + 1
    for names in (WITNESSES[:1], ()):
        with pytest.raises(SignatureError, match="too few witnesses"):
            policy.verify(signed_by(*names))


def test_one_witness_does_not_count_twice() -> None:
    """Neither by a repeated line, nor by its second key where the two are grouped."""
    note = signed_by(WITNESSES[0])
    repeated = SignedNote(note.text, note.signatures * 3)
    with pytest.raises(SignatureError):
        parse_policy(TWO_OF_THREE).verify(repeated)
    ed25519, ml_dsa = witness_keys(WITNESSES[0]).public
    grouped = f"log {LOG}\nwitness a {ed25519}\nwitness b {ml_dsa}\ngroup w1 any a b\nwitness w2 {W2}\n"
    with pytest.raises(SignatureError):
        parse_policy(grouped + "group both all w1 w2\nquorum both").verify(note)
    parse_policy(grouped + "quorum w1").verify(note)


def test_groups_within_groups() -> None:
    lines = f"log {LOG}\nwitness w1 {W1}\nwitness w2 {W2}\nwitness w3 {W3}\n"
    policy = parse_policy(lines + "group first any w1 w2\ngroup all all first w3\nquorum all")
    policy.verify(signed_by(WITNESSES[1], WITNESSES[2]))
    with pytest.raises(SignatureError):
        policy.verify(signed_by(WITNESSES[0], WITNESSES[1]))
    deep = lines + "group g0 any w1\n" + "".join(f"group g{n + 1} all g{n}\n" for n in range(3000)) + "quorum g3000\n"
    parse_policy(deep).verify(signed_by(WITNESSES[0]))


def test_the_log_itself_must_have_signed() -> None:
    witnesses_alone = witness_keys().sign(str(CHECKPOINT), NOW)
    policy = parse_policy(f"log {LOG}\nquorum none")
    policy.verify(signed_by())
    with pytest.raises(SignatureError, match="has not signed"):
        policy.verify(witnesses_alone)
    with pytest.raises(NoteError, match="key is not known"):
        policy.verify(log_keys("example.com/else").sign(str(Checkpoint(9, bytes(32), "example.com/else")), NOW))
    with pytest.raises(NoteError, match="key is not known"):  # the right key, under the name of another log
        policy.verify(log_keys().sign(str(Checkpoint(9, bytes(32), "example.com/else")), NOW))


def test_both_algorithms_can_be_asked_for() -> None:
    """Whoever breaks one of them leaves the other's signature out."""
    note = signed_by()
    policy = Policy(log_keys().public, all_logs=True)
    policy.verify(note)
    for line in note.signatures:
        with pytest.raises(SignatureError, match="has not signed"):
            policy.verify(SignedNote(note.text, (line,)))


def test_a_bad_signature_of_a_known_witness_spoils_the_note() -> None:
    note = signed_by(*WITNESSES)
    line = note.signatures[-2]
    assert line.key_id == witness_keys(WITNESSES[2]).public[0].key_id
    signature = line.signature[:-1] + bytes([line.signature[-1] ^ 1])
    spoilt = note.with_signatures([NoteSignature(line.name, line.key_id, signature)])
    with pytest.raises(SignatureError, match="is not on this text"):
        parse_policy(TWO_OF_THREE).verify(spoilt)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {LOG}",
        f"log {LOG}\nquorum w1",
        f"log {LOG}\nquorum none\nquorum none",
        f"log {LOG}\nlog {LOG}\nquorum none",
        f"witness w1 {W1}\nwitness w1 {W2}\nquorum w1",
        f"witness w1 {W1}\nwitness w2 {W1}\nquorum w1",
        f"witness none {W1}\nquorum none",
        f"witness w1 {LOG}\nquorum w1",
        f"witness w1 {W1}\ngroup g 2 w1\nquorum g",
        f"witness w1 {W1}\ngroup g 0 w1\nquorum g",
        f"witness w1 {W1}\ngroup g any\nquorum g",
        f"witness w1 {W1}\ngroup g any w1 w1\nquorum g",
        f"witness w1 {W1}\ngroup g any h\ngroup h any w1\nquorum g",
        f"witness w1 {W1}\ngroup g any w1\ngroup h any w1\nquorum g",
        f"witness w1 {W1} url url\nquorum w1",
        f"witness w1 {W1}\r\nquorum w1",
        "quorum none\nlog nonsense",
        "#" * (MAXIMUM_POLICY_CHARACTERS + 1),
    ],
    ids=lambda _: "policy",  # the keys in the texts are drawn anew in each process
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_policy(text)

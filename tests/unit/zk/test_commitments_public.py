import zk.commitments


def test_public_names_exist():
    assert all(hasattr(zk.commitments, name) for name in zk.commitments.__all__)
    assert len(set(zk.commitments.__all__)) == len(zk.commitments.__all__)

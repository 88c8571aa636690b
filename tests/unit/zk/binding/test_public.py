import zk.binding


def test_public_names_exist():
    assert all(hasattr(zk.binding, name) for name in zk.binding.__all__)
    assert len(set(zk.binding.__all__)) == len(zk.binding.__all__)

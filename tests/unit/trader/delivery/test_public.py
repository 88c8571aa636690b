import trader.delivery


def test_public_names_exist():
    assert all(hasattr(trader.delivery, name) for name in trader.delivery.__all__)
    assert len(set(trader.delivery.__all__)) == len(trader.delivery.__all__)

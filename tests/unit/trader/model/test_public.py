"""The package's public names."""

import trader.model


def test_all_is_sorted_complete_and_importable():
    names = trader.model.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(trader.model, name).__doc__ or isinstance(getattr(trader.model, name), (int, str))
    ours = {name for name, value in vars(trader.model).items() if getattr(value, "__module__", "").startswith("trader")}
    assert {name for name in ours if not name.startswith("_")} <= set(names)

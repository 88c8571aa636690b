"""What a user writes down once: which chain and account, how much, how good; in TOML, the environment, or as flags.

`BuyerSettings` are read from `modelseal.toml` or from `[tool.modelseal]` of `pyproject.toml`, with profiles;
`SellerSettings` from a file of their own.
"""

from trader.settings.buyer import BuyerSettings, PolicySettings
from trader.settings.files import find_file, read_document
from trader.settings.seller import SellerSettings

__all__ = ["BuyerSettings", "PolicySettings", "SellerSettings", "find_file", "read_document"]

"""What a user writes down once: which chain and account, how much, how good; in TOML, the environment, or as flags.

`read_buyer_settings` reads `modelseal.toml` or `[tool.modelseal]` of `pyproject.toml`, with profiles;
`read_seller_settings` a file that `modelseal seller init` wrote.
"""

from trader.settings.buyer import BuyerSettings, PolicySettings, TokenSettings
from trader.settings.fields import SettingsError
from trader.settings.reading import read_buyer_settings, read_seller_settings
from trader.settings.seller import ListingSettings, SellerSettings

__all__ = [
    "BuyerSettings",
    "ListingSettings",
    "PolicySettings",
    "SellerSettings",
    "SettingsError",
    "TokenSettings",
    "read_buyer_settings",
    "read_seller_settings",
]

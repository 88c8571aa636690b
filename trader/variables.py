"""Names of environment variables, apart from what reads them: `--help` shows them and loads nothing else."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "MODELSEAL_"
"""Of every variable that is ours; a setting's own is its name in capitals: `MODELSEAL_KEYFILE`."""
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
PROFILE_VARIABLE: Final = f"{PREFIX}PROFILE"

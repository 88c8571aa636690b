"""The `modelseal` command: `main` is its entry point.

Read `app.py` first: it mounts the command groups and is the only place that turns an error into an exit code. Each
group is one file (`model.py`, `listing.py`, `audit.py`, `keys.py`, `demo.py`); `output.py` holds what they share.
"""

from trader.cli.app import main

__all__ = ["main"]

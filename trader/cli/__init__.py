"""The `modelseal` command: `main` is its entry point.

Read `app.py` first: it names every command and group, imports none before it runs (`deferred.py`), and is the only
place that turns an error into an exit code. Each group is one file (`model.py`, `listing.py`, `audit.py`, `keys.py`,
`demo.py`); `model prepare`, which has most options, is in `prepare.py`. What they share is in `options.py` (declared
once) and `output.py` (tables and JSON). The `*_report.py` files compute what commands print, and print nothing.
"""

from trader.cli.app import main

__all__ = ["main"]

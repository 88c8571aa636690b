"""Alembic's environment for the tables of an audit log; `ledger.storage.migration` runs it."""

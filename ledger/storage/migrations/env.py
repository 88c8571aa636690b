"""What Alembic runs: the revisions, on the connection and in the transaction that the caller hands over."""

from alembic import context

from ledger.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()

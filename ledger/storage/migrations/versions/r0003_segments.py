"""What was appended and is not in the tables yet: `segments`; and an index for the first trades in a state."""

from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"

_INDEX: Final = "CREATE INDEX trades_by_state_and_opening ON trades (state, opened_at_seconds)"
_SEGMENTS: Final = {
    "sqlite": (
        "CREATE TABLE segments ( sequence INTEGER NOT NULL, hashes BLOB NOT NULL, content BLOB NOT NULL, "
        "PRIMARY KEY (sequence) ) STRICT"
    ),
    "postgresql": (
        "CREATE TABLE segments ( sequence BIGINT NOT NULL, hashes BYTEA NOT NULL, content BYTEA NOT NULL, "
        "PRIMARY KEY (sequence) )"
    ),
}


def upgrade() -> None:
    """Make the table and the index."""
    op.execute(_SEGMENTS[op.get_bind().dialect.name])
    op.execute(_INDEX)

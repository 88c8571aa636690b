"""What was appended and is not in the tables yet: `segments`."""

from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS: Final = {
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
    """Make the table."""
    op.execute(STATEMENTS[op.get_bind().dialect.name])

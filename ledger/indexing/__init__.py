"""From the chain into the log, and out of it: `indexer` appends what is new, `standing` finds what has happened."""

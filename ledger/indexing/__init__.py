"""From the chain into the log: `events` makes entries of contract events, `indexer` appends what is new."""

"""Both roles on one machine, before anything is sold: an encrypted test (`trial`), an audit (`proving`)."""

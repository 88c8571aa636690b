"""The seller's side of an encrypted test: from a request to a response that shows what was paid for and no more.

Read `evaluate` first; `batched` and `packed` are the two ways in which samples stand in slots, `splitting` and `tiles`
their products with secret matrices, `privacy` is what a response goes through before it leaves.
"""

"""What travels: containers of ciphertexts, checked before they are used, and the proof that a public key is one.

`header` reads and writes the first bytes of a container, `container` the whole of it, `fetch` copies one from the other
party's file; `key_proof` is part of each request.
"""

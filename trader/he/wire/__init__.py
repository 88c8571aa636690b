"""What travels: containers of ciphertexts that are read part by part, and the proof that a public key is one."""

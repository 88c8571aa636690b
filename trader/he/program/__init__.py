"""What is computed on ciphertexts: a model as `steps`, made by `build`, and as polynomials of `activations`."""

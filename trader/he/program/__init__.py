"""What is computed on ciphertexts: a model as products, sums and squares (`steps`) of polynomials (`activations`)."""

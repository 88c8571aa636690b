"""Statements, commitments, proofs: the only package that imports ezkl."""

"""A witness: a program that signs what a log shows it, if that begins with all that it was ever shown.

A log can't show one story to a buyer and another to a seller if both ask for the signature of a witness that neither
party runs. The witness sees sizes and hashes, no entries. `protocol` decides, `state` remembers, `app` speaks HTTP:
c2sp.org/tlog-witness (of 2026-07-22, after v1.0.0), of which `sign-subtree` is left out, as it may be.
"""

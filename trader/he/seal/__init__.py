"""SEAL, through TenSEAL's raw bindings: keys, encryption, and what is done with another party's keys."""

"""Why a mutant that no test notices is none that a test should notice, by its name (see `mutants.py`)."""

REASONS: dict[str, str] = {}

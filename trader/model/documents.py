"""What the documents of a seller have in common, manifest and certificate: strict models, and words for what is wrong.

Both are canonical JSON (RFC 8785) from the other party, so that nothing is coerced, ignored or left open.
"""

from pydantic import BaseModel, ConfigDict, ValidationError

MAX_PLACE_CHARACTERS = 100


class Section(BaseModel):
    """Part of a document: strict, frozen, without unknown fields, its numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def describe_fault(error: ValidationError) -> str:
    """Return where the first fault of a document is, and what it is: text that follows "is not valid".

    The place may hold the other party's words; it is cut off after `MAX_PLACE_CHARACTERS`.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:MAX_PLACE_CHARACTERS]
    where = f" at '{place}'" if place else ""
    return f"{where}: {first['msg']}"

"""RFC 8259 section 8: what clients and tools said, as every reader of a question or a report can take it."""

_LARGEST = 2**53


def visible(text: str, longest: int) -> str | None:
    """At most so many characters, without NUL and lone surrogates; None where nothing is left."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")[:longest] or None


def amount(value: float) -> float | None:
    """A number from 0 on; None for any other."""
    return value if 0 <= value <= _LARGEST else None

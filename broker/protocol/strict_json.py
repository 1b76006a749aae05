"""RFC 8259, strictly: JSON in UTF-8 without a mark, no member twice, no NaN."""

import json


def parse(raw: bytes) -> object:
    """The value; ValueError for anything else, also for what nests too deeply."""
    try:
        value: object = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    return value


def read(raw: bytes) -> object:
    """As `parse`, for what is kept: an escaped lone surrogate would fail later, wherever it is first written."""
    value = parse(raw)
    if b"\\u" in raw:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except RecursionError:
            raise ValueError("it nests too deeply") from None
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")

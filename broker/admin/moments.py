"""Moments as the estate file writes them (RFC 3339), and as everything else counts them: in epoch seconds."""

from datetime import UTC, date, datetime

from pydantic_core import PydanticCustomError

_TEXT = "write a moment with its zone, as 2027-01-31T00:00:00Z"


def read(value: object) -> object:
    """The moment in a text, or in what YAML made of one; a day begins at midnight UTC."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = (
                datetime.fromisoformat(value) if len(value) > len("2027-01-31") else date.fromisoformat(value)
            )
        except ValueError:
            raise PydanticCustomError("moment", _TEXT) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise PydanticCustomError("moment", _TEXT)
    return float(int(value.timestamp()))


def written(moment: float | None) -> str | None:
    """The same moment as `read` takes it."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

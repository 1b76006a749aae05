"""What a server answers, as the commands that act as clients take it: an object, a refusal, or no answer at all."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from broker.cli.local import Denied, Failed
from broker.runtime.egress import Answer, EgressFailed, EgressRefused


def refused(status: int, document: Mapping[str, object]) -> Denied:
    return Denied(f"The server refused: {printable(str(document.get('error', status)))}.")


@contextmanager
def plain() -> Iterator[None]:
    """No answer, in plain words."""
    try:
        yield
    except (EgressRefused, EgressFailed) as error:
        raise Failed(f"No answer: {error}.") from None


def members(answer: Answer) -> dict[str, object]:
    try:
        value = json.loads(answer.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def printable(text: str) -> str:
    """What a server sends does not move the cursor of this terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)

"""JSON Schema: the arguments of a call against the reviewed schema of its tool, which is compiled once."""

from collections.abc import Mapping
from itertools import islice

from broker.estate.catalogue.schemas import Validator, compiled
from broker.estate.model import Tool

_MOST_FAULTS = 10
_MOST = 10_000


class Schemas:
    """Compiled schemas; ValueError for one that cannot be judged by."""

    def __init__(self) -> None:
        self._compiled: dict[int, tuple[Mapping[str, object], Validator]] = {}

    def faults(self, tool: Tool, arguments: Mapping[str, object]) -> list[dict[str, object]]:
        """Where the arguments break which keyword of the schema, without their values; none without a schema."""
        if tool.schema is None:
            return []
        found = self._validator(tool.schema).iter_errors(arguments)
        return [
            {"pointer": _pointer(error.instance_path), "keyword": str(error.schema_path[-1])}
            for error in islice(found, _MOST_FAULTS)
        ]

    def _validator(self, schema: Mapping[str, object]) -> Validator:
        """Kept with the very schema that it was made of: an estate holds each as long as it stands."""
        known = self._compiled.get(id(schema))
        if known is not None:
            return known[1]
        made = compiled(schema)
        if len(self._compiled) >= _MOST:
            self._compiled.clear()
        self._compiled[id(schema)] = (schema, made)
        return made


def _pointer(path: list[str | int]) -> str:
    """RFC 6901, from the question's `context` on."""
    parts = ("arguments", *path)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)

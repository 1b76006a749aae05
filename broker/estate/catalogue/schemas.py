"""JSON Schema 2020-12 and its forerunners: which schemas of arguments can be judged by, without asking anybody."""

from collections.abc import Mapping

import jsonschema_rs

from broker.protocol import jcs

LARGEST = 64 * 1024
_BACKTRACKS = 10_000
Validator = jsonschema_rs.Validator


def compiled(schema: Mapping[str, object]) -> Validator:
    """What judges arguments by it; ValueError in plain words. Nothing outside the schema is ever fetched."""
    if len(jcs.canonical(schema)) > LARGEST:
        raise ValueError(f"a schema has at most {LARGEST} bytes")
    if schema.get("type") != "object":
        raise ValueError("the arguments of a tool are an object: type has to say so")
    try:
        return jsonschema_rs.validator_for(
            dict(schema),
            offline=True,
            validate_formats=False,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
        )
    except jsonschema_rs.ValidationError as error:
        raise ValueError(f"this is no schema that can be judged by: {error.message}"[:300]) from None

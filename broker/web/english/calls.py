"""The texts about single calls of tools, on the consent page."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "calls.heading": "Only these calls",
    "calls.hint": "It can call these tools as laid out here, and nothing else. A call goes with its permission: "
    "untick that, and the call is left out.",
    "calls.impact.read": "reads",
    "calls.impact.sensitive_read": "reads sensitive data",
    "calls.impact.reversible_write": "changes something, can be undone",
    "calls.impact.external_write": "acts outside, cannot be undone",
    "calls.any": "With whatever arguments the app chooses.",
    "calls.none": "Without any arguments.",
    "calls.no_others": "No other arguments.",
    "calls.plain": "with every letter beyond ASCII written out:",
    "calls.argument.any": "anything, or left out",
    "calls.argument.is": "exactly {value}",
    "calls.argument.one_of": "one of",
    "calls.argument.at_least": "a number, at least {value}",
    "calls.argument.at_most": "a number, at most {value}",
    "calls.argument.between": "a number from {low} to {high}",
    "calls.argument.length": "a text of at most {value} characters",
}

"""Secrets on their way in: from a file, from standard input, or asked for without an echo; never an argument."""

import sys
from pathlib import Path

import click

from broker.cli.local import Failed

_LONGEST = 64 * 1024


def read_hidden(source: Path | None, prompt: str, confirm: bool = False) -> str:
    """The first line of `source` (`-` is standard input); without one, asked for, or read when not at a terminal."""
    if source is None and sys.stdin.isatty():
        asked: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm)
        return asked
    try:
        if source is None or str(source) == "-":
            text = sys.stdin.read(_LONGEST)
        else:
            text = source.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Failed("The secret cannot be read.") from None
    first = text.split("\n", 1)[0].rstrip("\r")
    if not first:
        raise Failed(f"{prompt}: nothing was given.")
    return first

"""Read an estate file from disk: its shape, the rules of each object, and the secrets beside it."""

from dataclasses import replace
from pathlib import Path

from broker.admin import policy_entry, rules
from broker.admin.estate_file import Credentials, EstateFile, parse, read_yaml
from broker.admin.model import EstateProblems, Problem, Wanted
from broker.admin.provider_entry import ProviderEntry
from broker.admin.vault_entry import VaultEntry
from broker.admin.wanted import wanted

_LONGEST_SECRET = 4096


def load(path: Path) -> Wanted:
    """What the file at `path` asks for; EstateProblems or OSError."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise EstateProblems([Problem("", "the file is not UTF-8")]) from None
    return judged(parse(read_yaml(text)), path.parent)


def judged(file: EstateFile, folder: Path) -> Wanted:
    """What `file` asks for, its secret and policy files relative to `folder`, with what is wrong in it."""
    problems = rules.check(file)
    texts = policy_entry.with_texts(file.policies, folder, problems)
    file = file.model_copy(update={"policies": texts})
    found = wanted(file, lambda entry: _secret(entry, folder, problems))
    problems += [
        Problem(
            f"{found.path((noun, client_id))}.client_secret",
            "a secret is text without spaces at its ends",
        )
        for noun, secrets in (
            ("client", found.secrets),
            ("idp", found.provider_secrets),
            ("resource", found.vault_secrets),
        )
        for client_id, secret in secrets.items()
        if not secret or secret != secret.strip() or not secret.isprintable()
    ]
    return replace(found, problems=tuple(problems))


def _secret(
    entry: Credentials | ProviderEntry | VaultEntry, folder: Path, problems: list[Problem]
) -> str | None:
    if entry.client_secret is not None:
        return entry.client_secret.get_secret_value()
    if entry.client_secret_file is None:
        return None
    path = folder / entry.client_secret_file
    try:
        if path.stat().st_size <= _LONGEST_SECRET:
            return path.read_text("utf-8").rstrip("\r\n")
        wrong = "is too large for a secret"
    except (OSError, UnicodeDecodeError):
        wrong = "cannot be read"
    problems.append(Problem(f"{_named(entry)}.client_secret_file", f"{entry.client_secret_file} {wrong}"))
    return None


def _named(entry: Credentials | ProviderEntry | VaultEntry) -> str:
    if isinstance(entry, VaultEntry):
        return "vault"
    return f"idp {entry.id}" if isinstance(entry, ProviderEntry) else f"client {entry.client_id}"

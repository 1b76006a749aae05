"""Write the tables of the documentation from the code: `python docs/generate.py`; `--check` only compares.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Names, values and their order come from the
code; a sentence that the code does not have is written by hand in the last column and kept.
"""

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from annotated_types import Ge, Le
from flask import Flask
from pydantic.fields import FieldInfo

from broker.app import compose, create_app, migrate
from broker.audit.model import FACTS
from broker.control.classes import DEFAULTS, SELF
from broker.control.policy import builtin, reading, schema
from broker.estate.model import ApprovalRule
from broker.protocol.errors import STATUS, Reason
from broker.settings import Settings
from broker.tokens.exchange.refusals import REFUSALS

HERE = Path(__file__).parent
UNWRITTEN = "(not written yet)"
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
Sentences = Mapping[str, str]


def settings(_: Sentences) -> list[str]:
    rows = [
        (f"`{name}`", f"`BROKER_{name.upper()}`", _default(field), _sentence(field))
        for name, field in Settings.model_fields.items()
    ]
    return _table(("Setting", "Environment", "Default", "What it does"), rows)


def endpoints(kept: Sentences) -> list[str]:
    rows = []
    for path, (methods, doors) in sorted(routes().items()):
        where = "every door" if doors == {True, False} else "tenant doors" if doors == {True} else "server"
        rows.append((f"`{path}`", ", ".join(sorted(methods)), where, kept.get(path, UNWRITTEN)))
    return _table(("Path", "Methods", "Where", "What it is"), rows)


def errors(kept: Sentences) -> list[str]:
    rows = [(f"`{code}`", str(status), kept.get(code, UNWRITTEN)) for code, status in STATUS.items()]
    return _table(("Error", "Status", "When"), rows)


def reasons(kept: Sentences) -> list[str]:
    return _table(
        ("Reason", "What it means"), [(f"`{reason}`", kept.get(reason, UNWRITTEN)) for reason in Reason]
    )


def facts(_: Sentences) -> list[str]:
    return _table(("Fact", "What happened"), [(f"`{name}`", text) for name, text in FACTS.items()])


def exchange(_: Sentences) -> list[str]:
    rows = [(f"`{reason}`", str(question), f"`{error}`") for reason, (question, error) in REFUSALS.items()]
    return _table(("Reason", "About", "Error"), rows)


def policies(_: Sentences) -> list[str]:
    return ["```cedar", *builtin.TEXT.rstrip().splitlines(), "```"]


def policy_schema(_: Sentences) -> list[str]:
    return ["```cedar", *schema.text(()).splitlines(), "```"]


def classes(_: Sentences) -> list[str]:
    head = ("Class", "Each call is allowed by", "of a client's own work by", "Key", "A minute", "A day")
    says = {policy.id: policy.says or "" for policy in reading.built_in()}
    rows = [
        (
            f"`{impact}`",
            _allowed(of.approval),
            _allowed(of.unattended),
            "needed" if of.keyed else "optional",
            str(of.per_minute),
            "-" if of.per_day is None else str(of.per_day),
            f"{of.max_output // 1024} KiB",
            "kept" if of.arguments else "digest",
            says[f"mcp.{impact}"],
        )
        for impact, of in DEFAULTS.items()
    ]
    return _table((*head, "Output", "Arguments in the record", "Policy by default"), rows)


TABLES: Mapping[str, Callable[[Sentences], list[str]]] = {
    "settings": settings,
    "endpoints": endpoints,
    "errors": errors,
    "reasons": reasons,
    "facts": facts,
    "exchange": exchange,
    "classes": classes,
    "policies": policies,
    "policy_schema": policy_schema,
}


def routes() -> dict[str, tuple[set[str], set[bool]]]:
    """Path below a door: its methods, and whether tenants' doors (True) or the root (False) have it."""
    found: dict[str, tuple[set[str], set[bool]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rule in application(Path(folder)).url_map.iter_rules():
            path, tenants = re.subn(r"(?<=/)t/<[^>]+>/?|/t/<[^>]+>$", "", rule.rule)
            path = re.sub(r"^/static/[0-9a-f]+/", "/static/VERSION/", path.rstrip("/") or "/")
            path = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: name[1].upper(), path)
            methods, doors = found.setdefault(path, (set(), set()))
            methods |= (rule.methods or set()) - {"HEAD", "OPTIONS"}
            doors.add(bool(tenants))
    return found


def application(folder: Path) -> Flask:
    """An application over an empty database in `folder`."""
    chosen = Settings(data=folder, key_encryption_key="0" * 64, development=True)  # type: ignore[arg-type]  # read by pydantic
    migrate(chosen.database)
    broker = compose(chosen)
    broker.close()
    return create_app(broker)


def rendered(text: str) -> str:
    """The document with its tables as the code has them."""

    def replace(found: re.Match[str]) -> str:
        kept = dict(_kept(found[3]))
        return f"{found[1]}\n" + "\n".join(TABLES[found[2]](kept)) + f"\n\n{found[4]}"

    return _TABLE.sub(replace, text)


def main(arguments: list[str]) -> int:
    wrong = []
    for file in sorted(HERE.glob("*.md")):
        before = file.read_text("utf-8")
        after = rendered(before)
        if UNWRITTEN in after:
            wrong.append(f"{file.name}: a row has no sentence yet; write its last column")
        if after != before:
            if "--check" in arguments:
                wrong.append(f"{file.name}: differs from the code; run python docs/generate.py")
            else:
                file.write_text(after, "utf-8")
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return bool(wrong)


def _kept(table: str) -> Iterable[tuple[str, str]]:
    """Name and last column of each row."""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) > 1 and cells[0].startswith("`"):
            yield cells[0].strip("`"), cells[-1]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = (head, ("---",) * len(head), *rows)
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _allowed(rule: ApprovalRule | None) -> str:
    if rule is None:
        return "nobody"
    return " or ".join("its user" if role == SELF else f"another human, `{role}`" for role in rule.by)


def _default(field: FieldInfo) -> str:
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return "`true`" if field.default else "`false`"
    if isinstance(field.default, (int, float)):
        return f"`{field.default}`"
    if field.default == ():
        return "empty"
    return f"`{json.dumps(str(field.default))}`"


def _sentence(field: FieldInfo) -> str:
    least = next((str(bound.ge) for bound in field.metadata if isinstance(bound, Ge)), None)
    most = next((str(bound.le) for bound in field.metadata if isinstance(bound, Le)), None)
    limits = f" From {least} to {most}." if least and most else f" At least {least}." if least else ""
    return f"{field.description}{limits}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

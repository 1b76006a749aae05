"""Definitions of tools as servers say them, and as somebody looked at them; what resources said of limits, in types."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "tool_definition",
        sa.Column("resource_id", sa.String(128), primary_key=True),
        sa.Column("tool", sa.String(128), primary_key=True),
        sa.Column("reviewed_description", sa.Text()),
        sa.Column("reviewed_schema", sa.Text()),
        sa.Column("reviewed_digest", sa.String(64)),
        sa.Column("reviewed_at", sa.Float()),
        sa.Column("reviewed_by", sa.String(200)),
        sa.Column("seen_description", sa.Text()),
        sa.Column("seen_schema", sa.Text()),
        sa.Column("seen_digest", sa.String(64)),
        sa.Column("seen_at", sa.Float(), nullable=False),
    )
    resources = sa.table("resource", sa.column("id", sa.String), sa.column("document", sa.Text))
    connection = op.get_bind()
    for row in connection.execute(sa.select(resources.c.id, resources.c.document)).all():
        document = json.loads(row.document)
        after = json.dumps(_typed(document), sort_keys=True)
        if after != row.document:
            connection.execute(resources.update().where(resources.c.id == row.id).values(document=after))


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    """What was kept for later as it was written, in the types that it has by now; left out where it does not fit.

    Nothing enforced it before: the administrator applies the file again and is told what is wrong.
    """
    tools = [_tool(tool) for tool in document.get("tools", [])]
    return {
        **document,
        "tools": tools,
        "limits": _limits(document.get("limits")),
        "isolation": _isolation(document.get("isolation")),
    }


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    details = tool.pop("details", None) or {}
    kept: dict[str, Any] = {
        name: details[name] for name in ("family", "undo") if isinstance(details.get(name), str)
    }
    if isinstance(details.get("redact"), list):
        kept["redact"] = [path for path in details["redact"] if isinstance(path, str)]
    if _number(details.get("cost")):
        kept["cost"] = details["cost"]
    rule = details.get("approval")
    if isinstance(rule, dict) and isinstance(rule.get("by"), list):
        numbers = {name: rule[name] for name in ("expires", "quorum") if _whole(rule.get(name))}
        kept["approval"] = {"by": [role for role in rule["by"] if isinstance(role, str)], **numbers}
    return {**tool, **kept}


def _limits(limits: object) -> dict[str, Any]:
    if not isinstance(limits, dict):
        return {}
    each = {name: _bounds(limits.get(name)) for name in ("per_tenant", "per_user", "per_client")}
    return {**_bounds(limits), **{name: bounds for name, bounds in each.items() if bounds}}


def _bounds(said: object) -> dict[str, Any]:
    if not isinstance(said, dict):
        return {}
    whole = ("per_minute", "concurrent", "calls_per_day")
    kept = {name: said[name] for name in whole if _whole(said.get(name))}
    return {
        **kept,
        **({"budget_per_day": said["budget_per_day"]} if _number(said.get("budget_per_day")) else {}),
    }


def _isolation(said: object) -> dict[str, Any]:
    if not isinstance(said, dict):
        return {}
    kept: dict[str, Any] = {name: said[name] for name in ("timeout", "concurrent") if _whole(said.get(name))}
    hosts = said.get("egress")
    return {
        **kept,
        **({"egress": [h for h in hosts if isinstance(h, str)]} if isinstance(hosts, list) else {}),
    }


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0

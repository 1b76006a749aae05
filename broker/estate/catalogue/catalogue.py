"""Keep what servers say of their tools, take it as looked at, and join the estate's tools with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.estate.catalogue import rules, schemas, store
from broker.estate.catalogue.model import Kept, Listed
from broker.estate.catalogue.rules import Compared
from broker.estate.model import ANY_TENANT, Resource
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction, bump
from broker.runtime.world import World


class NotReviewed(Exception):
    """Why a definition cannot be taken as looked at, in plain words."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a look came to; `reviewed` were taken as looked at by it, `unusable` says of which why they were not."""

    compared: Compared
    reviewed: tuple[str, ...]
    unusable: tuple[tuple[str, str], ...]


class Catalogue:
    """`stamp` is what the estate is cached under: whoever uses the catalogue reads it anew."""

    def __init__(self, world: World, recorder: Recorder, stamp: str) -> None:
        self._world, self._recorder, self._stamp = world, recorder, stamp

    def keep(
        self, resource: Resource, listed: Sequence[Listed], origin: Origin, *, accept: bool = False
    ) -> Imported:
        """Remember what was listed, and mark what changed; with `accept`, all that is usable is looked at by this.

        `resource` is as the estate file has it, without what is kept of its tools.
        """
        now = self._world.clock.now()

        def unit(tx: Transaction) -> Imported:
            before = _of(tx, resource.id)
            compared = rules.compared(resource, listed, before)
            said = {one.definition.name: one.definition for one in listed}
            for name in dict.fromkeys((*said, *before)):
                store.see(tx, resource.id, name, said.get(name), now)
            counted: dict[str, object] = {
                "listed": len(said),
                "new": list(compared.new),
                "gone": list(compared.gone),
            }
            self._record(tx, "tool.imported", resource, None, counted, origin)
            known = {tool.name: tool for tool in resource.tools}
            for name in compared.changed:
                kept, looked = before.get(name), rules.reviewed(known.get(name), before.get(name))
                if kept is None or kept.seen is None or kept.seen.digest != said[name].digest:
                    change: dict[str, object] = {
                        "before": looked.digest if looked else None,
                        "after": said[name].digest,
                    }
                    self._record(tx, "tool.changed", resource, name, change, origin)
            after = _of(tx, resource.id) if accept else {}
            reviewed = [
                name
                for name, one in after.items()
                if _stands(resource, one) is None and self._review(tx, resource, one, origin, now)
            ]
            bump(tx, self._stamp)
            unusable = tuple((one.definition.name, one.unusable) for one in listed if one.unusable)
            return Imported(compared, tuple(reviewed), unusable)

        done = self._world.database.write(unit)
        self._world.snapshots.refresh()
        return done

    def review(
        self, resource: Resource, tool: str | None, origin: Origin, digest: str | None = None
    ) -> list[str]:
        """Take what was seen of one tool, or of all, as looked at; which were not before. NotReviewed.

        `digest`: only that definition of the tool, and not one that came meanwhile.
        """
        now = self._world.clock.now()

        def unit(tx: Transaction) -> list[str]:
            kept = _of(tx, resource.id)
            if tool is not None and tool not in kept:
                raise NotReviewed(f"Nothing was seen of {tool}: import the tools first.")
            done = []
            for name, one in kept.items():
                if tool is not None and name != tool:
                    continue
                why = _stands(resource, one)
                if digest is not None and (one.seen is None or one.seen.digest != digest):
                    why = f"The server says something else of {tool} by now: look again."
                if tool is not None and why is not None:
                    raise NotReviewed(why)
                if why is None and self._review(tx, resource, one, origin, now):
                    done.append(name)
            if done:
                bump(tx, self._stamp)
            return done

        reviewed = self._world.database.write(unit)
        self._world.snapshots.refresh()
        return reviewed

    def of(self, resource_id: str) -> dict[str, Kept]:
        """What is kept of a resource's tools, by name."""
        return self._world.database.read(lambda tx: _of(tx, resource_id))

    def _review(self, tx: Transaction, resource: Resource, kept: Kept, origin: Origin, now: float) -> bool:
        """Record it where it was not as looked at before."""
        if kept.seen is None or (kept.reviewed is not None and not kept.changed):
            return False
        by = origin.client or origin.source
        if not store.review(tx, kept.resource_id, kept.tool, kept.seen.digest, by, now):
            return False
        before = kept.reviewed.digest if kept.reviewed else None
        change: dict[str, object] = {"before": before, "after": kept.seen.digest}
        self._record(tx, "tool.reviewed", resource, kept.tool, change, origin)
        return True

    def _record(
        self,
        tx: Transaction,
        name: str,
        resource: Resource,
        tool: str | None,
        change: dict[str, object],
        origin: Origin,
    ) -> None:
        """As of the tenant that the resource serves, where it is one."""
        tenant = (
            resource.tenants[0] if len(resource.tenants) == 1 and not resource.serves(ANY_TENANT) else None
        )
        fact = Fact(name, tenant=tenant, resource=resource.id, tool=tool, change=change)
        self._recorder.record(tx, fact, origin)


def joined(tx: Transaction, resources: Iterable[Resource]) -> list[Resource]:
    """The resources with what is kept of their tools."""
    kept: dict[str, dict[str, Kept]] = {}
    for one in store.every(tx):
        kept.setdefault(one.resource_id, {})[one.tool] = one
    return [rules.joined(resource, kept.get(resource.id, {})) for resource in resources]


def forget(tx: Transaction, resource_id: str) -> None:
    """Within `tx`: the resource is gone, and what was kept of its tools with it."""
    store.forget(tx, resource_id)


def _of(tx: Transaction, resource_id: str) -> dict[str, Kept]:
    return {one.tool: one for one in store.every(tx) if one.resource_id == resource_id}


def _stands(resource: Resource, kept: Kept) -> str | None:
    """Why what was seen cannot be taken as looked at; None where it can."""
    if any(tool.name == kept.tool and tool.schema is not None for tool in resource.tools):
        return f"The estate file says what {kept.tool} is: change it there."
    if kept.seen is None:
        return f"The server did not list {kept.tool} at the last look."
    try:
        schemas.compiled(kept.seen.schema)
    except ValueError as error:
        return f"{kept.tool} cannot be called with a check of its arguments: {error}"
    return None

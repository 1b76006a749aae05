"""What would change: two sets of objects compared, in the order in which it can be done; pure."""

from collections.abc import Collection, Set

from broker.admin.model import NOUNS, Change, Difference, Held, Holdings, Key, Wanted, key_of
from broker.admin.shape import full
from broker.identity.clients.model import Client, Registered

HIDDEN = "***"
_CREDENTIAL = {
    "user": "password",
    "client": "client_secret",
    "idp": "client_secret",
    "resource": "vault.client_secret",
}


def after(wanted: Wanted, current: Holdings, removed: Collection[Key]) -> Holdings:
    """What there is once `wanted` is applied and `removed` is gone, with clients that lost their resource."""
    held = {key: found for key, found in current.held.items() if key not in removed} | dict(
        wanted.holdings.held
    )
    needed = {resource.client_id for resource in Holdings(held).resources.values()}
    return Holdings(
        {key: found for key, found in held.items() if key in wanted.holdings.held or _kept(found, needed)}
    )


def prunable(wanted: Wanted, current: Holdings) -> set[Key]:
    """What an administrator made and the file does not have."""
    return {
        key
        for key, found in current.held.items()
        if key not in wanted.holdings.held
        and not (isinstance(found, Client) and found.registered in (Registered.DYNAMIC, Registered.DOCUMENT))
    }


def plan(
    wanted: Wanted, current: Holdings, removed: Collection[Key] = (), renewed: Set[Key] = frozenset()
) -> list[Change]:
    """From `current` to `after`; `renewed` are those whose secret or password is another one than before."""
    coming = after(wanted, current, removed)
    deletes = [
        Change(noun, identifier, "delete")
        for noun in reversed(NOUNS)
        for (of, identifier) in current.held
        if of == noun and (of, identifier) not in coming.held
    ]
    puts = []
    for noun in NOUNS:
        for key, found in coming.held.items():
            if key[0] == noun and key in wanted.holdings.held:
                differences = _differences(found, current.get(key), key in renewed)
                if differences:
                    action = "update" if key in current.held else "create"
                    puts.append(Change(noun, key[1], action, differences))
    return deletes + puts


def _kept(found: Held, needed: set[str | None]) -> bool:
    return (
        not isinstance(found, Client)
        or found.registered is not Registered.RESOURCE
        or found.client_id in needed
    )


def _differences(found: Held, known: Held | None, renewed: bool) -> tuple[Difference, ...]:
    new = full(found)
    old = full(known) if known is not None else {}
    differences = [
        Difference(member, old.get(member), new.get(member))
        for member in dict.fromkeys([*new, *old])
        if old.get(member) != new.get(member)
    ]
    if renewed:
        differences.append(
            Difference(_CREDENTIAL[key_of(found)[0]], HIDDEN if known is not None else None, HIDDEN)
        )
    return tuple(differences)

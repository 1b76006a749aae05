"""The estate as a file that applies back to no change: everything but secrets, passwords and clients that
registered themselves."""

import yaml

from broker.admin.estate_file import SECTIONS
from broker.admin.model import NOUNS, Held, Holdings
from broker.admin.shape import Shape, brief
from broker.estate.model import Resource
from broker.identity.clients.model import Client, Registered

_HEAD = """\
# The estate of this server. Secrets and passwords are left out: applied again, everybody keeps theirs.
"""


def entries(holdings: Holdings) -> dict[str, list[Shape]]:
    """By section, in the shape of the file."""
    clients = holdings.clients
    found: dict[str, list[Shape]] = {}
    for noun in NOUNS:
        listed = [
            entry(held, clients)
            for (of, _), held in sorted(holdings.held.items())
            if of == noun and _own(held)
        ]
        if listed:
            found[SECTIONS[noun]] = listed
    return found


def entry(held: Held, clients: dict[str, Client]) -> Shape:
    """One object in the shape of the file."""
    own = clients.get(held.client_id) if isinstance(held, Resource) and held.client_id else None
    return brief(held, own)


def export(holdings: Holdings) -> str:
    """The whole file as YAML."""
    sections = entries(holdings)
    body = "".join(_yaml({name: listed}) for name, listed in sections.items())
    return _HEAD + body


def _yaml(value: object) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


class _Dumper(yaml.SafeDumper):
    """Without anchors: an object that stands twice is written twice. Text of several lines stays readable."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _own(held: Held) -> bool:
    return not isinstance(held, Client) or held.registered is Registered.ADMIN

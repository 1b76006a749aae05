"""What people and servers do with systems that are not ours, step by step; and the estate in which that is possible."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from werkzeug.test import TestResponse

from broker.estate.model import Edge, EdgeConsent, Registration, Resource, ResourceKind, Scope
from broker.runtime.egress import Egress
from tests.documents import Authority, Names, outside
from tests.lab import Browser, Lab, Page, assert_page
from tests.vault.provider import CLIENT, SECRET, Provider

FORGE = "https://api.forge.example"
WIKI = "https://api.wiki.example"


@dataclass
class Setting:
    """`lab` reaches both providers over TLS: `forge` belongs to the resource of that id, `wiki` to another.

    The server `tickets` may get the tokens of `forge` in the tenant acme, `files` in every tenant.
    """

    lab: Lab
    forge: Provider
    wiki: Provider

    def resource(self, named: str, provider: Provider, **changes: object) -> Resource:
        uri, title = {"forge": (FORGE, "Forge"), "wiki": (WIKI, "Wiki")}[named]
        registration = Registration(
            "generic",
            CLIENT,
            f"{provider.origin}/authorize",
            f"{provider.origin}/token",
            f"{provider.origin}/revoke",
            f"{provider.origin}/account",
            account=("id", "login"),
        )
        scopes = (
            Scope("repo:read", "Read your repositories", default=True),
            Scope("repo:write", "Change them"),
        )
        made = Resource(
            named, ResourceKind.VAULT, uri, title, ("acme", "globex"), scopes=scopes, publish=False
        )
        return replace(made, vault=replace(registration, **changes))

    def furnish(self) -> None:
        def work(tx: object) -> None:
            changes = self.lab.broker.changes
            for named, provider in (("forge", self.forge), ("wiki", self.wiki)):
                changes.put_resource(tx, self.resource(named, provider))
                self.lab.broker.vault.credentials.set(tx, named, SECRET)
            for edge in (
                Edge(
                    "tickets",
                    "forge",
                    {"tickets:read": ("repo:read",), "tickets:write": ("repo:read", "repo:write")},
                    purpose="To open an issue for each ticket",
                ),
                Edge("files", "forge", {"files:read": ("repo:read",)}),
            ):
                changes.put_edge(tx, replace(edge, consent=EdgeConsent.ADMIN, release=True))

        self.lab.change(work)

    def without_revocation(self) -> None:
        """From now on, the file names no address at which tokens of `forge` can be revoked."""
        resource = self.resource("forge", self.forge, revocation_endpoint=None)
        self.lab.change(lambda tx: self.lab.broker.changes.put_resource(tx, resource))

    # A person

    def signed_in(self, user: str = "alice", browser: Browser | None = None, door: str = "") -> Browser:
        browser = browser or self.lab.browser()
        browser.sign_in(browser.get(f"{door}/account"), user)
        return browser

    def page(
        self, browser: Browser, named: str = "forge", tenant: str | None = "acme", door: str = ""
    ) -> TestResponse:
        query = "" if tenant is None else "?" + urlencode({"tenant": tenant})
        return browser.get(f"{door}/connections/{named}{query}")

    def begin(
        self,
        browser: Browser,
        named: str = "forge",
        tenant: str = "acme",
        door: str = "",
        **changes: str | list[str] | None,
    ) -> str:
        """From the page of a system to its provider: the address there."""
        answer = browser.submit(Page.of(self.page(browser, named, tenant, door)), do="connect", **changes)
        return leads_to(answer)

    def back(
        self, browser: Browser, came: dict[str, str], named: str = "forge", door: str = ""
    ) -> TestResponse:
        """Back from the provider with these parameters."""
        return browser.get(f"{door}/connections/{named}/callback?{urlencode(came)}")

    def connect(
        self,
        browser: Browser,
        account: str = "octo",
        tenant: str = "acme",
        door: str = "",
        **changes: str | list[str] | None,
    ) -> TestResponse:
        """All the way with `forge`: the page behind it."""
        url = self.begin(browser, tenant=tenant, door=door, **changes)
        return self.back(browser, self.forge.visit(url, account), door=door)

    def disconnect(self, browser: Browser, tenant: str = "acme", door: str = "") -> TestResponse:
        page = Page.of(self.page(browser, tenant=tenant, door=door))
        return browser.submit(page, do="disconnect")

    # A server

    def call(self, user: str = "alice", door: str = "", **changes: str | None) -> str:
        """The token of a call that reaches the server `tickets`."""
        return self.lab.tokens(user=user, door=door, **changes)["access_token"]

    def released(
        self, token: str | None = None, server: str = "tickets-server", door: str = ""
    ) -> TestResponse:
        """What a server gets for the token that a call came with."""
        return self.lab.exchange(token or self.call(), server, door, resource=FORGE)


def words(page: TestResponse, status: int = 200) -> str:
    """What a person reads on a page of ours."""
    text = re.sub(r"<title>.*?</title>|<[^>]*>", "", assert_page(page, status), flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def leads_to(answer: TestResponse) -> str:
    """Where a page leads on to by itself; its button leads there too."""
    text = answer.get_data(as_text=True)
    found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', text)
    assert answer.status_code == 200 and found is not None, (answer.status_code, text[:3000])
    assert f'href="{found[1]}"' in text
    return html.unescape(found[1])


@contextmanager
def setting(lab: Lab, authority: Authority) -> Iterator[Setting]:
    names = Names(**{"forge.example": [["127.0.0.1"]], "wiki.example": [["127.0.0.1"]]})
    forge, wiki = Provider(authority, "forge.example"), Provider(authority, "wiki.example")
    try:
        with outside(lab, Egress(True, lab.clock, names, authority.file)) as reached:
            found = Setting(reached, forge, wiki)
            found.furnish()
            yield found
    finally:
        forge.close()
        wiki.close()

"""The server as a whole: the faces of all rooms mounted on one application, and its background duties."""

import threading
from collections.abc import Callable, Iterable
from importlib.resources import files
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

from broker import schema
from broker.account import http as account_http
from broker.account.approvals import http as approvals_http
from broker.account.approvals.mine import Mine as Approved
from broker.account.connections import http as connections_http
from broker.account.connections.mine import Mine
from broker.account.face import Face
from broker.account.methods import http as methods_http
from broker.authorization import http as authorization_http
from broker.authorization.device import http as device_http
from broker.authorization.login import http as login_http
from broker.authorization.login.reset import http as reset_http
from broker.authorization.logout import http as logout_http
from broker.authorization.pushed import http as pushed_http
from broker.authorization.upstream import http as upstream_http
from broker.authorization.upstream import offers
from broker.compose import Broker, compose, sealing_key
from broker.decisions import http as decisions_http
from broker.decisions.catalogue import http as catalogue_http
from broker.decisions.requests import http as requests_http
from broker.decisions.requests.requests import Requests
from broker.health import Health
from broker.identity.clients import http as clients_http
from broker.identity.clients.authentication.http import Desk
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.parameters import MAX_BYTES
from broker.runtime.duties import Duties, Duty
from broker.tokens import http as tokens_http
from broker.tokens.userinfo import http as userinfo_http
from broker.web import errors, headers, health, observe, pages, respond
from broker.web.doorway import Doorway
from broker.web.page import STATIC_BASE
from wellknown.http import blueprint as wellknown_blueprint

__all__ = [
    "Broker",
    "compose",
    "create_app",
    "migrate",
    "migrations_pending",
    "sealing_key",
    "start_duties",
    "tend",
]

migrate = schema.migrate
migrations_pending = schema.pending
_TICK_SECONDS, _GAUGE_SECONDS, _NOTICE_SECONDS, _CLAIM_SECONDS = 1.0, 5.0, 2.0, 600.0
_REWRAP_SECONDS = 600.0


def create_app(broker: Broker) -> Flask:
    """The faces, mounted; no Flask session, no debugger, no host but the issuer's."""
    settings, sources = broker.settings, broker.manners.sources
    host = urlsplit(settings.issuer).hostname or ""
    app = Flask("broker", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BYTES,
        TRUSTED_HOSTS=[f"[{host}]" if ":" in host else host],
        PROPAGATE_EXCEPTIONS=False,
    )
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    observe.install(app, broker.metrics)
    doorway = Doorway(
        lambda tenant: broker.estate().doors.at_path(tenant),
        sources,
        broker.authorize.turned_away,
        broker.tenants.closed,
    )

    desk = Desk(
        lambda tenant: broker.estate().doors.at_path(tenant),
        broker.clients,
        sources,
        broker.manners.certificates,
    )

    @app.before_request
    def begin() -> Response | None:
        sources.begin(request, broker.world.clock.now())
        request.host  # noqa: B018  refuses a host that is not ours, before anything reads the request
        if settings.secure and sources.cleartext(request) and request.path not in health.PATHS:
            error = OAuthError("invalid_request", "Use https.", Reason.MALFORMED)
            return respond.refusal(error)
        return None

    app.register_blueprint(wellknown_blueprint(broker.published))
    app.register_blueprint(
        tokens_http.blueprint(
            tokens_http.BackChannel(broker.pipeline, broker.introspection, broker.revocation), desk
        )
    )
    app.register_blueprint(decisions_http.blueprint(broker.decisions, desk))
    app.register_blueprint(catalogue_http.blueprint(broker.decisions.catalogues, desk))
    asked = Requests(broker.world, broker.refusals, broker.estate, broker.decisions.callers, broker.approvals)
    app.register_blueprint(requests_http.blueprint(asked, desk, broker.world.clock))
    app.register_blueprint(pushed_http.blueprint(broker.push, desk))
    app.register_blueprint(
        authorization_http.blueprint(
            authorization_http.FrontChannel(
                broker.authorize,
                broker.interactions,
                broker.consent,
                broker.sessions,
                broker.estate,
                broker.manners,
                doorway,
                settings.grant_lifetime,
            )
        )
    )
    app.register_blueprint(
        device_http.blueprint(
            device_http.DeviceFace(
                broker.device_start,
                broker.device_entry,
                broker.sessions,
                broker.estate,
                broker.world.entropy,
                broker.manners,
                doorway,
            ),
            desk,
        )
    )
    app.register_blueprint(
        login_http.blueprint(
            login_http.Login(
                broker.interactions,
                broker.signing_in,
                broker.sessions,
                broker.world,
                broker.estate,
                broker.manners,
                doorway,
                offers.signing_in_with(broker.federation.visits),
            )
        )
    )
    app.register_blueprint(
        upstream_http.blueprint(
            upstream_http.UpstreamLogin(
                broker.federation,
                broker.interactions,
                broker.sessions,
                broker.signing_in.sign_in,
                broker.signing_in.ways_in,
                broker.world.clock,
                broker.manners,
                doorway,
            )
        )
    )
    app.register_blueprint(
        reset_http.blueprint(
            broker.signing_in.new_passwords,
            broker.sessions,
            broker.world.entropy.secret,
            broker.manners,
            doorway,
        )
    )
    face = Face(broker.visitors, broker.estate, broker.manners, doorway)
    mine = Mine(broker.vault.connections, broker.estate, broker.providers.known)
    app.register_blueprint(
        account_http.blueprint(
            account_http.Account(
                face, broker.apps, mine, broker.sessions, broker.signing_in, broker.federation
            )
        )
    )
    app.register_blueprint(
        connections_http.blueprint(connections_http.Connecting(face, mine, broker.vault, broker.world.clock))
    )
    approvals = Approved(
        broker.world,
        broker.approvals,
        broker.clients,
        broker.people,
        broker.estate,
        broker.providers.known,
    )
    app.register_blueprint(
        approvals_http.blueprint(
            approvals_http.Approving(
                face,
                approvals,
                broker.approvals,
                broker.signing_in.ways_in,
                broker.policies,
                broker.world.clock,
            )
        )
    )
    app.register_blueprint(
        methods_http.blueprint(methods_http.Methods(face, broker.signing_in, broker.federation))
    )
    app.register_blueprint(
        logout_http.blueprint(
            logout_http.Logout(broker.departures, broker.sessions, broker.estate, broker.manners, doorway)
        )
    )
    app.register_blueprint(userinfo_http.blueprint(broker.userinfo, desk))
    app.register_blueprint(
        clients_http.blueprint(broker.registration, broker.management, lambda: broker.estate().doors, sources)
    )
    _pages(app, broker)
    health.install(app, urlsplit(settings.issuer).netloc, Health(broker).look)
    headers.install(app, settings.secure)
    errors.install(app)
    return app


def _pages(app: Flask, broker: Broker) -> None:
    static = {file.name: file.read_bytes() for file in files("broker.web").joinpath("static").iterdir()}
    types = {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }

    @app.get(f"{STATIC_BASE}/<name>")
    def static_file(name: str) -> Response:
        if name not in static:
            abort(404)
        response = Response(static[name], content_type=types[name.rpartition(".")[2]])
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    @app.get("/")
    @app.get("/t/<tenant>", endpoint="tenant_home")
    def home(tenant: str | None = None) -> Response:
        doors = broker.estate().doors
        door = doors.at_path(tenant)
        if door is None:
            abort(404)
        links = tuple(
            (name, f"/.well-known/{name}{door.path}")
            for name in ("oauth-authorization-server", "openid-configuration")
        )
        view = pages.HomeView(
            door_name=doors.name(door, broker.settings.server_name),
            issuer=door.issuer,
            account=door.url("/account"),
            links=links,
            lang=errors.language(request),
        )
        return respond.page(pages.home(view))


def tend(broker: Broker, over: Callable[[float], bool], *, leased: bool, more: Iterable[Duty] = ()) -> None:
    """Do the duties of this process until `over`, which waits for some seconds, says so; then let go of leases.

    `leased`: take part in those that one process does for all.
    """
    every = float(broker.settings.duty_interval)
    duties = [
        Duty("tidy", every, broker.tidy, leased=False),
        Duty("gauges", _GAUGE_SECONDS, Health(broker).gauges, leased=False),
        *more,
    ]
    if leased:
        duties += [Duty("keys", every, broker.door_keys.tend), Duty("sweep", every, broker.sweep)]
        duties += [Duty("claims", _CLAIM_SECONDS, broker.claims.look_again)]
        duties += [Duty("alerts", every, broker.spikes.look)]
        duties += [Duty("webhooks", _NOTICE_SECONDS, broker.webhooks.deliver)]
        duties += [Duty("letters", _NOTICE_SECONDS, broker.approvals.notices.deliver)]
        duties += [Duty("logout", _NOTICE_SECONDS, broker.logout_notices.deliver)]
        duties += [Duty("releases", _NOTICE_SECONDS, broker.vault.watch.run)]
        duties += [Duty("farewells", _NOTICE_SECONDS, broker.vault.farewells.deliver)]
        duties += [Duty("rewrap", _REWRAP_SECONDS, broker.vault.connections.rewrap)]
    world = broker.world
    holder = world.entropy.identifier("proc", world.clock.now())
    round_of_duties = Duties(world.database, world.clock, broker.metrics, holder, duties)
    while not over(_TICK_SECONDS):
        round_of_duties.tick()
    round_of_duties.stop()


def start_duties(broker: Broker, *, leased: bool = True, more: Iterable[Duty] = ()) -> threading.Thread:
    """Tend in a thread of its own until the main thread ends; then close the broker behind it."""
    main = threading.main_thread()

    def over(seconds: float) -> bool:
        main.join(seconds)
        return not main.is_alive()

    def run() -> None:
        try:
            tend(broker, over, leased=leased, more=more)
        finally:
            broker.close()

    # Not a daemon: the interpreter waits for it, so leases are given up and nothing is cut off.
    thread = threading.Thread(target=run, name="duties")
    thread.start()
    return thread

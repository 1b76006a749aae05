"""The downstream system: a plain HTTP API that verifies tokens offline and records who is behind a call."""

import json
import os
from urllib.parse import urlsplit

import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.guard.guard import Guard
from broker.guard.verifier import TokenRefused

RESOURCE = os.environ["CRM_URL"]
CUSTOMERS = {"C-17": {"name": "Globex", "plan": "gold", "phone": "+1 555 0100"}}

guard = Guard(resource=RESOURCE, issuers={os.environ["ISSUER"]: ["acme"]}, default_scopes=["crm:read"])


async def customer(request: Request) -> Response:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return refused(401, guard.challenge())
    try:
        token = await guard.verify_async(text)
    except TokenRefused:
        return refused(401, guard.challenge("invalid_token"))
    if "crm:read" not in token.scopes:
        return refused(403, guard.challenge("insufficient_scope", scopes=["crm:read"]))
    # The evidence of this system: the claims, never the token.
    record = {"header": jwt.get_unverified_header(text), "claims": dict(token.claims)}
    print(json.dumps(record), flush=True)
    found = CUSTOMERS.get(request.path_params["number"])
    return JSONResponse(found) if found else Response(status_code=404)


def refused(status: int, challenge: str) -> Response:
    return Response(status_code=status, headers={"WWW-Authenticate": challenge})


app = Starlette(routes=[Route("/customers/{number}", customer)])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=urlsplit(RESOURCE).port or 80)

// A real OpenID provider on loopback: anybody signs in with any name; what they are comes from that name.
// Arguments: port, client id, client secret, redirect URI. Prints "ready" once it listens.

import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: [redirectUri],
      id_token_signed_response_alg: "ES256",
      require_auth_time: true,
    },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "upstream-1", alg: "ES256", use: "sig" }] },
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: {
    openid: ["sub"],
    profile: ["name", "preferred_username", "groups"],
    email: ["email", "email_verified"],
  },
  cookies: { keys: ["a key of this test alone"] },
  async findAccount(_, id) {
    return {
      accountId: id,
      claims: async () => ({
        sub: id,
        name: `${id} of the company`,
        preferred_username: id,
        email: `${id}@corp.example`,
        email_verified: true,
        groups: ["staff"],
      }),
    };
  },
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));

// openid-client as a relying party: openid_connect.mjs ISSUER CLIENT_ID SECRET

import * as client from 'openid-client';
import {createRemoteJWKSet, jwtVerify} from 'jose';
import {heard, obey, visit, CALLBACK} from './session.mjs';

const [issuer, id, secret] = process.argv.slice(2);
const AFTER = 'http://127.0.0.1:4000/signed-out';
let config, tokens, said;

async function login(extra) {
  const verifier = client.randomPKCECodeVerifier(), state = client.randomState(), nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: 'openid profile email offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...extra,
  });
  const checks = {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
    ...(extra?.max_age === undefined ? {} : {maxAge: Number(extra.max_age)}),
  };
  tokens = await client.authorizationCodeGrant(config, await visit(url), checks);
  said = tokens.claims();
  return said;
}

await obey({
  async discover() {
    const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks];
    config = await client.discovery(new URL(issuer), id, undefined, client.ClientSecretBasic(secret), {
      execute,
      [client.customFetch]: heard,
    });
    return config.serverMetadata();
  },
  login,
  /** The strict reader of the same token: an independent library, with the keys that the server publishes. */
  async verify({alg}) {
    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
    const {payload, protectedHeader} = await jwtVerify(tokens.id_token, keys, {
      issuer, audience: id, algorithms: [alg], typ: 'JWT',
    });
    return {payload, header: protectedHeader};
  },
  async userinfo() {
    return await client.fetchUserInfo(config, tokens.access_token, said.sub);
  },
  async refresh() {
    tokens = await client.refreshTokenGrant(config, tokens.refresh_token);
    return tokens.claims();
  },
  async logout({state}) {
    const url = client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token, post_logout_redirect_uri: AFTER, state,
    });
    return String(await visit(url));
  },
}, () => tokens);

// openid-client, which is certified for OpenID Connect and strict: openid_client.mjs SERVER [dpop]

import * as client from 'openid-client';
import {heard, obey, visit, CALLBACK} from './session.mjs';

const [server, mode] = process.argv.slice(2);
let config, options, tokens;

/** RFC 9728: from the server's challenge to the scope and the authorization server that it names. */
async function discovered() {
  const challenge = (await heard(server, {method: 'POST'})).headers.get('www-authenticate');
  const named = name => challenge.match(new RegExp(`${name}="([^"]*)"`))[1];
  const metadata = await (await heard(named('resource_metadata'))).json();
  return {issuer: new URL(metadata.authorization_servers[0]), scope: named('scope')};
}

async function authorize(scope) {
  const verifier = client.randomPKCECodeVerifier(), state = client.randomState();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope,
    state,
    resource: server,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...(options.DPoP ? {dpop_jkt: await options.DPoP.calculateThumbprint()} : {}),
  });
  const checks = {pkceCodeVerifier: verifier, expectedState: state};
  tokens = await client.authorizationCodeGrant(config, await visit(url), checks, {resource: server}, options);
}

async function request(method, params) {
  const body = JSON.stringify({jsonrpc: '2.0', id: 1, method, params});
  const headers = new Headers({'Content-Type': 'application/json', Accept: 'application/json, text/event-stream'});
  const url = new URL(server);
  const response = await client.fetchProtectedResource(config, tokens.access_token, url, 'POST', body, headers, options);
  return (await response.json()).result;
}

/** The challenge of a refused call, as the client read it. */
function refused(error) {
  if (!(error instanceof client.WWWAuthenticateChallengeError)) throw error;
  return {status: error.status, ...error.cause[0].parameters};
}

async function refresh() {
  tokens = await client.refreshTokenGrant(config, tokens.refresh_token, {resource: server}, options);
}

await obey({
  async connect() {
    const {issuer, scope} = await discovered();
    const metadata = {
      client_name: 'openid-client',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    };
    config = await client.dynamicClientRegistration(issuer, metadata, client.None(), {
      algorithm: 'oauth2',
      execute: [client.allowInsecureRequests],
      [client.customFetch]: heard,
    });
    options = mode === 'dpop' ? {DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair())} : {};
    await authorize(scope);
    return (await request('tools/list', {})).tools.map(tool => tool.name);
  },
  async call({tool, values}) {
    const call = async () => (await request('tools/call', {name: tool, arguments: values})).content[0].text;
    try {
      return await call();
    } catch (error) {
      const {status, scope} = refused(error);
      await (status === 403 ? authorize(scope) : refresh());
      return await call();
    }
  },
  spoil() { tokens = {...tokens, access_token: 'ended'}; },
}, () => tokens);

// openid-client with PAR and authorization details: openid_client_calls.mjs SERVER

import * as client from 'openid-client';
import {heard, obey, visit, CALLBACK} from './session.mjs';

const [server] = process.argv.slice(2);
let config, tokens;

async function call(name, values) {
  const body = JSON.stringify({jsonrpc: '2.0', id: 1, method: 'tools/call', params: {name, arguments: values}});
  const headers = new Headers({'Content-Type': 'application/json', Accept: 'application/json, text/event-stream'});
  const response = await client.fetchProtectedResource(config, tokens.access_token, new URL(server), 'POST', body, headers);
  return (await response.json()).result;
}

await obey({
  async connect({issuer, details}) {
    const metadata = {
      client_name: 'openid-client',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_post',
      authorization_details_types: details.map(detail => detail.type),
      require_pushed_authorization_requests: true,
    };
    config = await client.dynamicClientRegistration(new URL(issuer), metadata, undefined, {
      algorithm: 'oauth2',
      execute: [client.allowInsecureRequests],
      [client.customFetch]: heard,
    });
    const verifier = client.randomPKCECodeVerifier(), state = client.randomState();
    const url = await client.buildAuthorizationUrlWithPAR(config, {
      redirect_uri: CALLBACK,
      state,
      resource: server,
      authorization_details: JSON.stringify(details),
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const checks = {pkceCodeVerifier: verifier, expectedState: state};
    tokens = await client.authorizationCodeGrant(config, await visit(url), checks, {resource: server});
    return config.serverMetadata().authorization_details_types_supported;
  },
  async call({tool, values}) {
    try {
      return (await call(tool, values)).content[0].text;
    } catch (error) {
      if (!(error instanceof client.WWWAuthenticateChallengeError)) throw error;
      return {status: error.status, error: error.cause[0].parameters.error};
    }
  },
  async refresh({details}) {
    const asked = details ? {authorization_details: JSON.stringify(details)} : {};
    try {
      tokens = await client.refreshTokenGrant(config, tokens.refresh_token, {resource: server, ...asked});
      return null;
    } catch (error) {
      if (!(error instanceof client.ResponseBodyError)) throw error;
      return error.error;
    }
  },
}, () => tokens);

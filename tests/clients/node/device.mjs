// openid-client on a device without a browser (RFC 8628): device.mjs SERVER ISSUER [dpop]

import * as client from 'openid-client';
import {heard, obey, visit} from './session.mjs';

const [server, issuer, mode] = process.argv.slice(2);
const begun = {};
let config, options, tokens;

await obey({
  /** As far as the codes; which of them the person uses is for the test to say. */
  async begin({scope}) {
    config = await client.discovery(new URL(issuer), 'tv-app', undefined, client.None(), {
      algorithm: 'oauth2',
      execute: [client.allowInsecureRequests],
      [client.customFetch]: heard,
    });
    options = mode === 'dpop' ? {DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair())} : {};
    const bound = options.DPoP ? {dpop_jkt: await options.DPoP.calculateThumbprint()} : {};
    Object.assign(begun, await client.initiateDeviceAuthorization(config, {scope, resource: server, ...bound}));
    return begun;
  },
  async visit({page}) { return String(await visit(begun[page])); },
  /** One poll, at once: the test has seen to it that there is an answer. */
  async poll() {
    const answered = {...begun, interval: 0.01};
    tokens = await client.pollDeviceAuthorizationGrant(config, answered, {resource: server}, options);
    return tokens.token_type;
  },
  async refresh() {
    tokens = await client.refreshTokenGrant(config, tokens.refresh_token, {resource: server}, options);
    return tokens.token_type;
  },
}, () => tokens);

// The official TypeScript SDK: sdk.mjs SERVER (v1 | v2) [dpop | modern]; modern is the revision 2026-07-28 of MCP.

import {heard, obey, visit, CALLBACK} from './session.mjs';

const [server, version, mode] = process.argv.slice(2);
const {Client, StreamableHTTPClientTransport, UnauthorizedError, DpopSession} =
  version === 'v1'
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }
    : await import('@modelcontextprotocol/client');

/** What an application keeps for the SDK. */
class Provider {
  redirectUrl = CALLBACK;
  clientMetadata = {
    client_name: `TypeScript ${version}`,
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };

  clientInformation() { return this.registration; }
  saveClientInformation(registration) { this.registration = registration; }
  tokens() { return this.held; }
  saveTokens(tokens) { this.held = tokens; }
  codeVerifier() { return this.verifier; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  discoveryState() { return this.discovered; }
  saveDiscoveryState(discovered) { this.discovered = discovered; }
  state() { return this.sent = crypto.randomUUID(); }
  async redirectToAuthorization(url) { this.landed = await visit(url); }
}

/** v1 would answer a challenge for more scope by refreshing: without a refresh token it asks the user. */
async function stepping(input, init) {
  const response = await heard(input, init);
  if (version === 'v1' && response.status === 403) delete provider.held?.refresh_token;
  return response;
}

let provider, transport, client;

async function signedIn(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || !provider.landed) throw error;
    const query = provider.landed.searchParams;
    delete provider.landed;
    if (query.get('state') !== provider.sent) throw new Error('another state came back');
    await transport.finishAuth(version === 'v1' ? query.get('code') : query);
    return await attempt();
  }
}

/** Up to the revision 2025-11-25 a page to open is an error, and the call is made again; since then the SDK does it. */
async function allowed(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (error.code !== -32042) throw error;
    for (const asked of error.data.elicitations) await visit(asked.url);
    return await attempt();
  }
}

async function opened({params}) {
  await visit(params.url);
  return {action: 'accept'};
}

await obey({
  async connect() {
    await client?.close();
    provider = new Provider();
    if (mode === 'dpop') {
      const session = await DpopSession.create();
      provider.dpop = () => session;
    }
    await signedIn(async () => {
      transport = new StreamableHTTPClientTransport(new URL(server), {authProvider: provider, fetch: stepping});
      const options = {capabilities: {elicitation: {url: {}}}};
      if (mode === 'modern') options.versionNegotiation = {mode: 'auto'};
      client = new Client({name: 'driver', version: '1'}, options);
      if (version === 'v2') client.setRequestHandler('elicitation/create', opened);
      await client.connect(transport);
    });
    return (await client.listTools()).tools.map(tool => tool.name);
  },
  async call({tool, values}) {
    const result = await signedIn(() => allowed(() => client.callTool({name: tool, arguments: values})));
    return result.content[0].text;
  },
  // Its end is seen at the server alone: the next call is refused, and what was sent is not what counts.
  spoil() { provider.held = {...provider.held, access_token: 'ended'}; },
}, () => provider?.held);

// Cross-app access with the official TypeScript SDK v2: cross_app.mjs SERVER IDP CLIENT_AT_IDP CLIENT CLIENT_SECRET ISSUER

import {
  Client,
  CrossAppAccessProvider,
  discoverAndRequestJwtAuthGrant,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';

import {heard, obey} from './session.mjs';

const [server, idpUrl, idpClientId, clientId, clientSecret, expectedIssuer] = process.argv.slice(2);

let provider, client;

await obey({
  async connect({idToken}) {
    provider = new CrossAppAccessProvider({
      clientId,
      clientSecret,
      expectedIssuer,
      fetchFn: heard,
      async assertion({authorizationServerUrl, resourceUrl, scope, fetchFn}) {
        const {jwtAuthGrant} = await discoverAndRequestJwtAuthGrant({
          idpUrl,
          audience: authorizationServerUrl,
          resource: resourceUrl,
          idToken,
          clientId: idpClientId,
          clientSecret,
          scope,
          fetchFn,
        });
        return jwtAuthGrant;
      },
    });
    client = new Client({name: 'driver', version: '1'});
    await client.connect(
      new StreamableHTTPClientTransport(new URL(server), {authProvider: provider, fetch: heard}),
    );
    return (await client.listTools()).tools.map(tool => tool.name);
  },
  async call({tool, values}) {
    return (await client.callTool({name: tool, arguments: values})).content[0].text;
  },
}, () => provider?.tokens());

// panva's oidc-provider, by its configuration alone, for the tests; loopback only.
//
// Its one argument is an object in JSON: `port` (0: a free one), `secret` of its client `caller`, `keys`: `each` (one for
// each algorithm, which it names) or `bare` (one RSA key without `alg` and `use`, for RS256 and PS256), `clients`:
// others, for calls of their own and introspection, in the words of RFC 7591, and `resources`: the scopes of resource
// servers by their names (RFC 8707), for clients that register themselves (RFC 7591) and find them by RFC 9728.
// When it serves, it prints its issuer.
//
// What is not the provider's own are the paths below `/test/`: they count its calls, and exchange its keys, for which
// it has no interface of its own. It reads its keys at its start, so each exchange makes a provider with other keys
// over the same storage.

import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';

import { Provider, errors } from 'oidc-provider';

const { port, secret, keys: shape, clients, resources } = JSON.parse(process.argv[2]);
const registers = Object.keys(resources).length > 0;

// What a key of an algorithm is made of.
const PAIRS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  Ed25519: () => generateKeyPairSync('ed25519'),
};

let made = 0;

function pair(algorithm) {
  return PAIRS[algorithm]().privateKey.export({ format: 'jwk' });
}

function newKey(algorithm) {
  made += 1;
  return { ...pair(algorithm), alg: algorithm, use: 'sig', kid: `${algorithm.toLowerCase()}-${made}` };
}

let keys = shape === 'bare' ? [{ ...pair('RS256'), kid: 'bare' }] : Object.keys(PAIRS).map(newKey);

// A resource server for each algorithm: https://rs256.tests.example wants tokens that are signed with RS256. That of
// https://opaque.tests.example wants tokens that nobody else can read.
function resourceServer(resource) {
  if (resource in resources) {
    return { scope: resources[resource].join(' '), audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300 };
  }
  const name = new URL(resource).hostname.split('.')[0];
  if (name === 'opaque') {
    return { scope: 'read write', audience: resource, accessTokenFormat: 'opaque', accessTokenTTL: 300 };
  }
  const algorithm = Object.keys(PAIRS).find((each) => each.toLowerCase() === name);
  if (algorithm === undefined) throw new errors.InvalidTarget();
  return {
    scope: 'read write',
    audience: resource,
    accessTokenFormat: 'jwt',
    accessTokenTTL: 300,
    jwt: { sign: { alg: algorithm } },
  };
}

// What the providers, one after the other, have in common. The adapter is as the documentation of oidc-provider has it.
const storage = new Map();
const granted = new Map();

class Storage {
  constructor(model) {
    this.model = model;
  }

  #key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    storage.set(this.#key(id), payload);
    if (payload.uid) storage.set(`uid:${payload.uid}`, this.#key(id));
    if (payload.grantId) granted.set(payload.grantId, [...(granted.get(payload.grantId) ?? []), this.#key(id)]);
  }

  async find(id) {
    return storage.get(this.#key(id));
  }

  async findByUid(uid) {
    return storage.get(storage.get(`uid:${uid}`));
  }

  async destroy(id) {
    storage.delete(this.#key(id));
  }

  async consume(id) {
    storage.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async revokeByGrantId(grant) {
    for (const key of granted.get(grant) ?? []) storage.delete(key);
  }
}

function provider() {
  return new Provider(issuer, {
    adapter: Storage,
    jwks: { keys },
    cookies: { keys: [secret] },
    pkce: { required: () => false },
    scopes: ['openid', 'read', 'write', ...(registers ? ['offline_access', ...Object.values(resources).flat()] : [])],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      registration: { enabled: registers },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => undefined,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_, resource) => resourceServer(resource),
      },
    },
    clients: [
      {
        client_id: 'caller',
        client_secret: secret,
        redirect_uris: ['http://127.0.0.1:1/callback'],
        grant_types: ['authorization_code', 'client_credentials'],
        application_type: 'native',
        scope: 'openid read write',
      },
      ...clients.map((client) => ({
        ...client,
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
        scope: 'read write',
      })),
    ],
  }).callback();
}

const exchanges = {
  // Another key signs; the one before it still stands in the set.
  rotate: (algorithm) => [newKey(algorithm), ...keys],
  // Another key stands in the set, and does not sign yet.
  announce: (algorithm) => [...keys, newKey(algorithm)],
  // The last key of an algorithm signs: the one that was announced.
  promote: (algorithm) => {
    const last = keys.findLast((key) => key.alg === algorithm);
    return [last, ...keys.filter((key) => key !== last)];
  },
  // Of the keys of an algorithm the one that signs is left.
  retire: (algorithm) => {
    const signs = keys.find((key) => key.alg === algorithm);
    return keys.filter((key) => key.alg !== algorithm || key === signs);
  },
  // Other keys under the same names.
  replace: (algorithm) => keys.map((key) => (key.alg === algorithm ? { ...key, ...pair(algorithm) } : key)),
};

const calls = {};
let issuer;
let serve;

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, issuer);
  const [, test, what, algorithm] = pathname.split('/');
  if (test !== 'test') {
    calls[pathname] = (calls[pathname] ?? 0) + 1;
    serve(request, response);
  } else if (what === 'calls') {
    response.end(JSON.stringify(calls));
  } else {
    keys = exchanges[what](algorithm);
    serve = provider();
    response.end();
  }
});

server.listen(port, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  serve = provider();
  console.log(`issuer ${issuer}`);
});

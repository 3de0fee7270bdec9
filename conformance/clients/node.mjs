// Checks an echo server with Node's `ws`: node.mjs [--deflate] ws://ADDR/
//
// With `--deflate`, the server has to agree to compression, otherwise to decline it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { on, once } from 'node:events';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../target/conformance/', import.meta.url));
const WebSocket = require('ws');

const [url, flag, ...others] = process.argv.slice(2).reverse();
if (!url || others.length > 0 || ![undefined, '--deflate'].includes(flag)) {
  console.error('usage: node.mjs [--deflate] ws://ADDR/');
  process.exit(2);
}

/** A connection; every wait on it ends with the signal. */
class Client {
  constructor(socket, signal) {
    this.socket = socket;
    this.signal = signal;
    this.messages = on(socket, 'message', { signal, close: ['close'] });
    this.pongs = on(socket, 'pong', { signal, close: ['close'] });
  }

  static async open(signal) {
    const client = new Client(new WebSocket(url), signal);
    await once(client.socket, 'open', { signal });
    return client;
  }

  async message() {
    const { value, done } = await this.messages.next();
    assert(!done, 'closed instead of a message');
    const [data, isBinary] = value;
    return isBinary ? data : data.toString();
  }

  async pong() {
    const { value, done } = await this.pongs.next();
    assert(!done, 'closed instead of a pong');
    return value[0].toString();
  }

  async echo(message) {
    this.socket.send(message);
    same(await this.message(), message);
  }

  /** Closes and checks that the server answers with the same code. */
  async close(code = 1000, reason = '') {
    this.socket.close(code, reason);
    const [answered] = await once(this.socket, 'close', { signal: this.signal });
    assert.equal(answered, code);
  }
}

/** Equal in type and content, without a dump of a megabyte when not. */
function same(got, wanted) {
  const kind = (message) => `${Buffer.isBuffer(message) ? 'binary' : 'text'} of ${message.length}`;
  const equal = Buffer.isBuffer(got) && Buffer.isBuffer(wanted) ? got.equals(wanted) : got === wanted;
  assert(equal, `got ${kind(got)}, wanted ${kind(wanted)}`);
}

let passed = 0;

async function check(name, run) {
  try {
    await run(AbortSignal.timeout(10_000));
  } catch (error) {
    console.error(`FAILED ${name}:`, error);
    process.exit(1);
  }
  console.log(`ok ${name}`);
  passed += 1;
}

for (const [name, text] of [
  ['text', 'hello'],
  ['empty text', ''],
  ['unicode text', 'κόσμε 世界 🦀 \u{10ffff} e\u0301 \0'],
]) {
  await check(name, async (signal) => {
    const client = await Client.open(signal);
    await client.echo(text);
    await client.close();
  });
}

for (const size of [0, 125, 126, 127, 65_535, 65_536, 1 << 20]) {
  await check(`binary of ${size} bytes`, async (signal) => {
    const client = await Client.open(signal);
    await client.echo(randomBytes(size));
    await client.close();
  });
}

await check('100 messages sent at once come back in order', async (signal) => {
  const client = await Client.open(signal);
  const sent = Array.from({ length: 100 }, (_, i) => (i % 2 ? `message ${i}` : randomBytes(i * 20)));
  sent.forEach((message) => client.socket.send(message));
  for (const message of sent) same(await client.message(), message);
  await client.close();
});

await check('ping is answered with its payload', async (signal) => {
  const client = await Client.open(signal);
  for (const payload of ['', 'ping', 'p'.repeat(125)]) {
    client.socket.ping(payload);
    same(await client.pong(), payload);
  }
  await client.close();
});

await check('ping between two fragments is answered before the second', async (signal) => {
  const client = await Client.open(signal);
  client.socket.send('one, ', { fin: false });
  client.socket.ping('between');
  same(await client.pong(), 'between');
  client.socket.send('two', { fin: true });
  same(await client.message(), 'one, two');
  await client.close();
});

for (const [code, reason] of [[1000, ''], [3000, 'enough of it']]) {
  await check(`close with code ${code} is answered with it`, async (signal) => {
    const client = await Client.open(signal);
    await client.close(code, reason);
  });
}

await check(`an offer of permessage-deflate is ${flag ? 'accepted' : 'declined'}`, async (signal) => {
  let offer;
  const finishRequest = (request) => {
    offer = request.getHeader('sec-websocket-extensions');
    request.end();
  };
  const socket = new WebSocket(url, { perMessageDeflate: true, finishRequest });
  const client = new Client(socket, signal);
  const opened = once(socket, 'open', { signal });
  const [response] = await once(socket, 'upgrade', { signal });
  assert.match(offer, /permessage-deflate/);
  const answer = response.headers['sec-websocket-extensions'];
  if (flag) assert.match(answer, /^permessage-deflate/);
  else assert.equal(answer, undefined);
  await opened;
  const message = 'compressible '.repeat(1000);
  await client.echo(message);
  const isSmaller = socket._socket.bytesRead < message.length / 2;
  assert.equal(isSmaller, Boolean(flag), `${socket._socket.bytesRead} bytes came`);
  await client.close();
});

await check('another path is served or not found, and the server lives on', async (signal) => {
  const client = new Client(new WebSocket(new URL('no/such/path', url)), signal);
  const [request, response] = await Promise.race([
    once(client.socket, 'open', { signal }),
    once(client.socket, 'unexpected-response', { signal }),
  ]);
  if (response) {
    assert.equal(response.statusCode, 404);
    request.destroy();
  } else {
    await client.echo('another path');
    await client.close();
  }
  await (await Client.open(signal)).close();
});

await check('a client that vanishes does no harm', async (signal) => {
  (await Client.open(signal)).socket.terminate();
  const client = await Client.open(signal);
  await client.echo('still there');
  await client.close();
});

console.log(`node client: ${passed} checks passed`);
process.exit();

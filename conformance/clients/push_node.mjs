// Checks a server that only sends with Node's `ws`: push_node.mjs ws://ADDR/

import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../target/conformance/', import.meta.url));
const WebSocket = require('ws');

// A server that reads nothing would let the client wait for 30 s.
const AT_ONCE = 1000;

const [url] = process.argv.slice(2);
if (!url) {
  console.error('usage: push_node.mjs ws://ADDR/');
  process.exit(2);
}

const signal = AbortSignal.timeout(10_000);
const socket = new WebSocket(url);
const messages = on(socket, 'message', { signal, close: ['close'] });
const message = async () => {
  const { value, done } = await messages.next();
  assert(!done, 'closed instead of a message');
  return value[0].toString();
};

await once(socket, 'open', { signal });
assert.equal(await message(), '0');
assert.equal(await message(), '1');

// Data is discarded, and is no reason to stop.
socket.send('is anybody there?');
let begun = performance.now();
socket.ping('still there?');
const [pong] = await once(socket, 'pong', { signal });
assert.equal(pong.toString(), 'still there?');
assert(performance.now() - begun < AT_ONCE, 'the pong is late');
assert.equal(await message(), '2');

begun = performance.now();
socket.close(4000, 'enough');
const [code] = await once(socket, 'close', { signal });
const took = performance.now() - begun;
assert(took < AT_ONCE, `closing took ${took} ms`);
assert.equal(code, 4000);
console.log(`ok: pings are answered, and closing took ${took.toFixed(1)} ms`);

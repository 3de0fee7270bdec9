// Node's `ws` as a peer of the matrix.
//
// conformance/README.md says what its two roles do, and what they print.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { on, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../target/conformance/', import.meta.url));
const WebSocket = require('ws');

const PROTOCOL = 'interop.v1';
const print = (record) => console.log(JSON.stringify(record));
const isCompressed = (socket) => socket.extensions.split(';')[0] === 'permessage-deflate';

/** Echoes messages. A text `goodbye` is answered with a Close. */
function converse(socket, request) {
  let messages = 0;
  const record = {
    protocol: socket.protocol,
    compressed: isCompressed(socket),
    authorization: request.headers.authorization ?? '',
  };
  socket.on('message', (data, isBinary) => {
    if (!isBinary && data.toString() === 'goodbye') {
      socket.close(4002, 'the server is done');
      return;
    }
    socket.send(data, { binary: isBinary });
    messages += 1;
  });
  socket.on('close', (code, reason) => print({ ...record, messages, code, reason: `${reason}` }));
}

async function serve(deflate, pem) {
  const tls = pem && readFileSync(pem);
  const server = tls ? createHttpsServer({ cert: tls, key: tls }) : createHttpServer();
  const handleProtocols = (offered) => offered.has(PROTOCOL) && PROTOCOL;
  const perMessageDeflate = deflate === 'deflate';
  const sockets = new WebSocket.Server({ server, perMessageDeflate, handleProtocols });
  sockets.on('connection', converse);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  console.log(`listening on ${tls ? 'wss' : 'ws'}://127.0.0.1:${server.address().port}/`);
}

function messages() {
  const text = 'Words that are easy to compress. '.repeat(3000);
  const short = Array.from({ length: 200 }, (_, i) => (i % 2 ? `message ${i}` : randomBytes(i)));
  return [
    'Grüße, κόσμε 🦀',
    randomBytes(300),
    '',
    Buffer.alloc(0),
    text.slice(0, 70_000),
    randomBytes(1 << 20),
    ...short,
  ];
}

/** Holds one conversation, and closes it or lets the server do so. */
async function talk(url, ca, doesClose) {
  const signal = AbortSignal.timeout(10_000);
  const headers = { authorization: 'Bearer interop' };
  const options = { ca: readFileSync(ca), headers, perMessageDeflate: true };
  const socket = new WebSocket(url, ['other.v1', PROTOCOL], options);
  const received = on(socket, 'message', { signal, close: ['close'] });
  await once(socket, 'open', { signal });

  const sent = messages();
  sent.forEach((message) => socket.send(message));
  for (const message of sent) {
    const { value, done } = await received.next();
    assert(!done, 'closed instead of a message');
    const [data, isBinary] = value;
    const isSame = isBinary ? data.equals(message) : data.toString() === message;
    assert(isSame, `${data.length} bytes came back for ${message.length} others`);
  }
  const pong = once(socket, 'pong', { signal });
  socket.ping('are you there?');
  assert.equal(`${await pong}`, 'are you there?');

  const closed = once(socket, 'close', { signal });
  if (doesClose) socket.close(4001, 'the client is done');
  else socket.send('goodbye');
  const [code, reason] = await closed;
  print({
    protocol: socket.protocol,
    compressed: isCompressed(socket),
    messages: sent.length,
    code,
    reason: `${reason}`,
  });
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'serve' && [1, 2].includes(rest.length)) {
  await serve(...rest);
} else if (role === 'connect' && rest.length === 2) {
  await talk(...rest, true);
  await talk(...rest, false);
} else {
  console.error('usage: ws.mjs serve (plain | deflate) [PEM], or connect URL CA');
  process.exit(2);
}

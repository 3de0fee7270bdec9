// Checks compression with Node's `ws`, as client and as server: deflate_node.mjs BINARY

import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';

import {
  ALL_MESSAGES, JSON_MESSAGES, SETTINGS, Server, answerTo, checkWire, connect, messages, offerOf,
  parameters,
} from './deflate.mjs';

const require = createRequire(new URL('../../target/conformance/', import.meta.url));
const WebSocket = require('ws');

const [binary] = process.argv.slice(2);
if (!binary) {
  console.error('usage: deflate_node.mjs BINARY');
  process.exit(2);
}

/** The settings of `ws` as a client. */
const OFFERS = [
  {},
  { serverNoContextTakeover: true, clientNoContextTakeover: true },
  { serverMaxWindowBits: 9, clientMaxWindowBits: 15 },
  { serverMaxWindowBits: 12, clientMaxWindowBits: 9 },
  { serverNoContextTakeover: true, serverMaxWindowBits: 15, clientMaxWindowBits: 12 },
  { clientNoContextTakeover: true, serverMaxWindowBits: 10, clientMaxWindowBits: 10 },
  { clientMaxWindowBits: false },
];

/** The settings of `ws` as a server; no window may be larger than the one that is offered. */
const ANSWERS = [
  () => ({}),
  () => ({ serverNoContextTakeover: true, clientNoContextTakeover: true }),
  () => ({ serverMaxWindowBits: 9, clientMaxWindowBits: 9 }),
  ({ bits, peerBits }) => ({ serverMaxWindowBits: peerBits, clientMaxWindowBits: bits }),
  () => ({ clientNoContextTakeover: true, serverMaxWindowBits: 9 }),
];

const sent = messages(JSON_MESSAGES, ALL_MESSAGES);
const textOf = (some) => some.reduce((sum, message) => sum + Buffer.byteLength(message), 0);
const text = textOf(sent.slice(0, JSON_MESSAGES));

/** Lets `ws` send to our server, and compares what comes back. */
async function send(url, settings, options) {
  const signal = AbortSignal.timeout(20_000);
  let offered;
  const finishRequest = (request) => {
    offered = request.getHeader('sec-websocket-extensions');
    request.end();
  };
  const perMessageDeflate = { threshold: 128, ...options };
  const socket = new WebSocket(url, { perMessageDeflate, finishRequest });
  const received = on(socket, 'message', { signal, close: ['close'] });
  const opened = once(socket, 'open', { signal });
  const [response] = await once(socket, 'upgrade', { signal });
  const answer = parameters(response.headers['sec-websocket-extensions']);
  assert.deepEqual(answer, answerTo(parameters(offered), settings));
  await opened;

  const exchange = async (some) => {
    some.forEach((message) => socket.send(message));
    for (const message of some) {
      const { value, done } = await received.next();
      assert(!done, 'closed instead of a message');
      const [data, isBinary] = value;
      const same = isBinary ? isDeepStrictEqual(new Uint8Array(data), message) : `${data}` === message;
      assert(same, `${data.length} bytes come back for other ${Buffer.byteLength(message)}`);
    }
  };
  const before = socket._socket.bytesRead;
  await exchange(sent.slice(0, JSON_MESSAGES));
  const ratio = checkWire(socket._socket.bytesRead - before, text, !answer.server_no_context_takeover);
  await exchange(sent.slice(JSON_MESSAGES));
  socket.close(1000);
  const [code] = await once(socket, 'close', { signal });
  assert.equal(code, 1000);
  return ratio;
}

/** Lets our client send to `ws`, which echoes. */
async function echo(settings, options) {
  const perMessageDeflate = { threshold: 128, ...options };
  const server = new WebSocket.Server({ host: '127.0.0.1', port: 0, perMessageDeflate });
  await once(server, 'listening');
  let ratio;
  let count = 0;
  let answer;
  server.once('headers', (lines) => {
    const name = 'sec-websocket-extensions:';
    const line = lines.find((line) => line.toLowerCase().startsWith(name));
    answer = parameters(line.slice(name.length).trim());
  });
  server.once('connection', (socket, request) => {
    assert.deepEqual(parameters(request.headers['sec-websocket-extensions']), offerOf(settings));
    const before = request.socket.bytesRead;
    let length = 0;
    socket.on('message', (data, isBinary) => {
      socket.send(data, { binary: isBinary });
      count += 1;
      if (count > JSON_MESSAGES) return;
      length += data.length;
      if (count < JSON_MESSAGES) return;
      const takesOver = settings.takeover !== 'none' && !answer.client_no_context_takeover;
      ratio = checkWire(request.socket.bytesRead - before, length, takesOver);
    });
  });
  await connect(binary, `127.0.0.1:${server.address().port}`, settings);
  assert.equal(count, ALL_MESSAGES);
  server.close();
  await once(server, 'close');
  return ratio;
}

/** Runs one conversation; a failure ends the program. */
async function check(settings, options, run) {
  try {
    return await run();
  } catch (error) {
    console.error('FAILED', settings, options, error);
    process.exit(1);
  }
}

/** Conversations of one kind with one takeover, and the least and the largest of their ratios. */
class Summary {
  all = new Map();

  add(settings, ratio) {
    const of = this.all.get(settings.takeover) ?? [];
    this.all.set(settings.takeover, [...of, ratio]);
  }

  print(what) {
    for (const [takeover, ratios] of this.all) {
      const range = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2));
      console.log(`${what}, takeover ${takeover}: ${ratios.length} ok, JSON sent at ${range.join(' to ')}`);
    }
  }
}

const served = new Summary();
for (const settings of SETTINGS) {
  const server = await Server.start(binary, settings);
  for (const options of OFFERS) {
    served.add(settings, await check(settings, options, () => send(server.url, settings, options)));
  }
  await server.stop();
}
served.print("our server and Node's ws");

const connected = new Summary();
for (const settings of SETTINGS) {
  for (const options of ANSWERS.map((answer) => answer(settings))) {
    connected.add(settings, await check(settings, options, () => echo(settings, options)));
  }
}
connected.print("our client and Node's ws");
process.exit();

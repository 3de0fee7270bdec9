// What the checks of compression share: settings, our end, the messages, and what must be agreed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What goes with each takeover: the window that our end sends, the peer's, and the rest. */
const VARIANTS = [
  { bits: 9, peerBits: 15, level: 1, threshold: 0, runtime: 'tokio' },
  { bits: 10, peerBits: 12, level: 3, threshold: 0, runtime: 'smol' },
  { bits: 12, peerBits: 10, level: 6, threshold: 128, runtime: 'tokio' },
  { bits: 15, peerBits: 9, level: 9, threshold: 128, runtime: 'smol' },
  { bits: 15, peerBits: 15, level: 1, threshold: 128, runtime: 'tokio' },
];

/** The settings of our end: what it takes over, whether the peer may, and the variant. */
export const SETTINGS = ['none', 'window', 'dedicated'].flatMap((takeover) =>
  [true, false].flatMap((peerTakeover) =>
    VARIANTS.map((variant) => ({ takeover, peerTakeover, ...variant })),
  ),
);

/** The arguments of the example `deflate`. */
const settingsOf = ({ takeover, bits, peerTakeover, peerBits, level, threshold }) =>
  [takeover, bits, peerTakeover, peerBits, level, threshold].map(String);

/** The example `deflate` as a server. It ends at the first fault. */
export class Server {
  static async start(binary, settings) {
    const server = new Server();
    const command = ['serve', settings.runtime, '127.0.0.1:0', ...settingsOf(settings)];
    server.process = spawn(binary, command, { stdio: ['ignore', 'pipe', 'inherit'] });
    server.kill = () => server.process.kill('SIGKILL');
    process.once('exit', server.kill);
    const lines = createInterface({ input: server.process.stdout });
    const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(10_000) });
    server.url = line.replace('listening on ', '');
    return server;
  }

  async stop() {
    const { exitCode, signalCode } = this.process;
    assert(exitCode === null && signalCode === null, 'the server has ended');
    const ended = once(this.process, 'exit');
    this.kill();
    await ended;
    process.off('exit', this.kill);
  }
}

/** Runs the example `deflate` as a client of the server at `address`. */
export async function connect(binary, address, settings) {
  const command = ['connect', settings.runtime, address, ...settingsOf(settings)];
  const client = spawn(binary, command, { stdio: 'inherit', timeout: 30_000 });
  const [status] = await once(client, 'exit');
  assert.equal(status, 0, 'our client has failed');
}

/** The parameters of an element of `Sec-WebSocket-Extensions`, each with its number or `true`. */
export function parameters(header) {
  const [name, ...found] = header.split(';').map((part) => part.trim());
  assert.equal(name, 'permessage-deflate');
  const pairs = found.map((parameter) => {
    const [key, value] = parameter.split('=');
    return [key, value === undefined ? true : Number(value)];
  });
  const parameters = Object.fromEntries(pairs);
  assert.equal(Object.keys(parameters).length, found.length, `doubled: ${header}`);
  return parameters;
}

/** What our server has to answer to an offer, both as parameters. */
export function answerTo(offer, { takeover, bits, peerTakeover, peerBits }) {
  const answer = {};
  if (takeover === 'none' || offer.server_no_context_takeover) {
    answer.server_no_context_takeover = true;
  }
  // A client that cannot be told a window would refer back too far.
  const canBeTold = offer.client_max_window_bits !== undefined;
  const mayTakeOver = peerTakeover && (canBeTold || peerBits === 15);
  if (!mayTakeOver || offer.client_no_context_takeover) answer.client_no_context_takeover = true;
  const window = Math.min(bits, offer.server_max_window_bits ?? 15);
  if (window < 15 || offer.server_max_window_bits) answer.server_max_window_bits = window;
  if (canBeTold) {
    const theirs = offer.client_max_window_bits;
    const most = Math.min(peerBits, theirs === true ? 15 : theirs);
    if (most < 15) answer.client_max_window_bits = most;
  }
  return answer;
}

/** What our client has to offer. */
export function offerOf({ takeover, bits, peerTakeover, peerBits }) {
  const offer = { client_max_window_bits: bits < 15 ? bits : true };
  if (takeover === 'none') offer.client_no_context_takeover = true;
  if (!peerTakeover) offer.server_no_context_takeover = true;
  if (peerBits < 15) offer.server_max_window_bits = peerBits;
  return offer;
}

/** How many of the messages come first and are short JSON, and how many there are in all. */
export const JSON_MESSAGES = 60;
export const ALL_MESSAGES = 240;

/**
 * Checks that our end has compressed short JSON: how many bytes it sent for how many bytes of text.
 * With takeover, it must have sent less.
 */
export function checkWire(bytes, text, takesOver) {
  const ratio = bytes / text;
  const most = takesOver ? 0.45 : 0.8;
  assert(ratio < most, `${text} bytes took ${bytes} on the wire, which is ${ratio.toFixed(2)}`);
  return ratio;
}

/**
 * Messages of all kinds, after some of short JSON. It also runs in a browser's page, so it uses
 * nothing of this file.
 */
export function messages(jsonMessages, allMessages) {
  let state = 1;
  const random = (below) => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state % below;
  };
  const noise = (length) => Uint8Array.from({ length }, () => random(256));
  const offer = () => ({
    id: random(9_999_999),
    title: `Schöner Stuhl Nr. ${random(999)}`,
    price: random(99_999),
    currency: 'EUR',
    stock: random(999),
    tags: ['Möbel', 'Holz'],
    sold: false,
  });
  const json = () => JSON.stringify({ best: offer(), others: [offer(), offer()] });
  const kinds = [
    json,
    json,
    json,
    json,
    () => noise(random(1000)),
    (i) => `no ${i}`,
    () => '',
    () => noise(0),
    () => 'Grüße über 30 Flüsse und Bäche, ähnlich wie Öl. '.repeat(30),
    (i) => (i % 20 === 9 ? Array.from({ length: 200 }, json).join() : noise(70_000)),
  ];
  return Array.from({ length: allMessages }, (_, i) =>
    i < jsonMessages ? json() : kinds[i % kinds.length](i),
  );
}

// Checks an echo server with the browser's own WebSocket: echo.mjs ws://ADDR/

import assert from 'node:assert/strict';
import { browse, check } from './browser.mjs';

/** Runs in the page: sends a text, then 70,000 bytes, then closes. */
async function converse(url) {
  const within = (what, promise) =>
    Promise.race([
      promise,
      new Promise((_, reject) => setTimeout(() => reject(new Error(`no ${what} in 10 seconds`)), 10_000)),
    ]);
  const event = (socket, name) =>
    within(
      name,
      new Promise((resolve, reject) => {
        socket.addEventListener(name, resolve, { once: true });
        socket.addEventListener('error', () => reject(new Error(`error instead of ${name}`)), { once: true });
      }),
    );

  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  await event(socket, 'open');

  socket.send('κόσμε 世界 🦀');
  const text = (await event(socket, 'message')).data;

  const sent = new Uint8Array(70_000);
  for (let start = 0; start < sent.length; start += 10_000) {
    crypto.getRandomValues(sent.subarray(start, start + 10_000));
  }
  socket.send(sent);
  const received = new Uint8Array((await event(socket, 'message')).data);
  const binary = received.length === sent.length && received.every((byte, i) => byte === sent[i]);

  const closed = event(socket, 'close');
  socket.close(1000, 'done');
  const { code, wasClean } = await closed;
  return { text, binary, code, wasClean, extensions: socket.extensions };
}

await browse(async (context, url) => {
  const page = await context.newPage();
  const seen = await page.evaluate(converse, url);
  const equal = async (got, wanted) => assert.equal(got, wanted);

  await check('text comes back', equal(seen.text, 'κόσμε 世界 🦀'));
  await check('70,000 bytes come back', equal(seen.binary, true));
  const agreed = seen.extensions.startsWith('permessage-deflate');
  await check('the offer of permessage-deflate is accepted', equal(agreed, true));
  await check('the close has code 1000', equal(seen.code, 1000));
  await check('the close is clean', equal(seen.wasClean, true));
});

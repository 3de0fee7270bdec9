// Checks compression with the browser's own WebSocket: deflate.mjs BINARY

import assert from 'node:assert/strict';

import {
  ALL_MESSAGES, JSON_MESSAGES, SETTINGS, Server, answerTo, messages, parameters,
} from '../clients/deflate.mjs';
import { browse, check } from './browser.mjs';

/** Runs in the page: sends messages, compares what comes back, and closes. */
async function converse({ url, jsonMessages, allMessages }) {
  const sent = window.messages(jsonMessages, allMessages);
  const same = (got, wanted) =>
    typeof wanted === 'string'
      ? got === wanted
      : got instanceof ArrayBuffer &&
        got.byteLength === wanted.length &&
        new Uint8Array(got).every((byte, i) => byte === wanted[i]);

  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const conversation = new Promise((resolve, reject) => {
    let count = 0;
    socket.onopen = () => sent.forEach((message) => socket.send(message));
    socket.onmessage = ({ data }) => {
      if (!same(data, sent[count])) reject(new Error(`message ${count} is another one`));
      count += 1;
      if (count === sent.length) socket.close(1000);
    };
    socket.onclose = ({ code, wasClean }) =>
      resolve({ code, wasClean, count, extensions: socket.extensions });
    setTimeout(() => reject(new Error('no end in 20 seconds')), 20_000);
  });
  return conversation;
}

async function conversation(page, binary, settings) {
  const server = await Server.start(binary, settings);
  const options = { url: server.url, jsonMessages: JSON_MESSAGES, allMessages: ALL_MESSAGES };
  const { extensions, ...end } = await page.evaluate(converse, options);
  assert.deepEqual(end, { code: 1000, wasClean: true, count: ALL_MESSAGES });
  // What Chromium offers.
  const offer = { client_max_window_bits: true };
  assert.deepEqual(parameters(extensions), answerTo(offer, settings));
  await server.stop();
}

await browse(async (context, binary) => {
  const page = await context.newPage();
  await page.evaluate(`window.messages = ${messages}`);
  for (const settings of SETTINGS) {
    await check(JSON.stringify(settings), conversation(page, binary, settings));
  }
}, process.argv[2]);

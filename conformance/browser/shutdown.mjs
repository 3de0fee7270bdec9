// Checks what browsers see when the chat server is stopped with Ctrl-C, and what its metrics say
// before: shutdown.mjs BINARY

import { browse, check } from './browser.mjs';
import { start } from './server.mjs';

const TABS = 3;

/** Throws unless the two are the same. */
function same(found, expected) {
  const [a, b] = [found, expected].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

/** Opens a socket in a tab, and returns a promise of how it is closed. */
function open(page) {
  return page.evaluate(() => new Promise((opened, failed) => {
    const socket = new WebSocket(new URL('chat', location.href.replace('http', 'ws')));
    const name = `tab ${Math.random()}`;
    window.ended = new Promise((closed) => {
      socket.onclose = ({ code, reason, wasClean }) => closed({ code, reason, wasClean });
    });
    socket.onerror = failed;
    socket.onopen = () => socket.send(`hall\n${name}`);
    socket.onmessage = opened;
  }).then(() => {}));
}

const [binary] = process.argv.slice(2);
const [server, address] = await start(binary);

await browse(async (context, url) => {
  const tabs = [];
  for (let tab = 0; tab < TABS; tab += 1) {
    const page = await context.newPage();
    await page.goto(url);
    await open(page);
    tabs.push(page);
  }
  const metrics = await fetch(new URL('metrics', url)).then((response) => response.text());
  const active = metrics.match(/^websocket_server_active_connections (\d+)$/m)?.[1];
  await check('the metrics count the tabs', (async () => same(active, `${TABS}`))());

  const closed = Promise.all(tabs.map((page) => page.evaluate(() => window.ended)));
  const ended = server.kill('SIGINT');
  const close = { code: 1001, reason: 'shutting down', wasClean: true };
  await check('each tab is closed cleanly', closed.then((all) => same(all, tabs.map(() => close))));
  await check('the server says so', server.line().then(
    (line) => same(line, `${TABS} closed, 0 aborted`),
  ));
  await check('the server ends', ended.then((status) => same(status, [0, null])));
}, address);

// Does what README.md tells a reader to do in a browser: readme.mjs ws://ADDR/

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { browse, check } from './browser.mjs';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');

/** The part of README.md that the pattern captures. */
function told(pattern) {
  const found = readme.match(pattern);
  assert(found, `README.md has nothing like ${pattern}`);
  return found[1];
}

const page = told(/from a browser: open <(.*?)>/);
const snippet = told(/```js\n(.*?)```/s);
const logged = told(/It logs `(.*?)`/);

await browse(async (context, url) => {
  const { host } = new URL(url);
  const here = (text) => text.replaceAll('127.0.0.1:9001', host);
  assert(here(snippet).includes(url), 'the snippet connects to another server');

  const tab = await context.newPage();
  await tab.goto(here(page));
  const line = tab.waitForEvent('console', (message) => message.text() === logged);
  // As the console does it, where a script may declare `socket` a second time.
  const console = await context.newCDPSession(tab);
  await console.send('Runtime.evaluate', { expression: here(snippet), replMode: true });
  await check("README.md's snippet logs what it says", line);
});

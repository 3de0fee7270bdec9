// What the browser checks share: Chromium, a limit of time, one line a check.

import { createRequire } from 'node:module';

const target = new URL('../../target/conformance/', import.meta.url);
const { chromium } = createRequire(target)('playwright-core');

/** Where a file of the given name is kept. */
export const output = (name) => new URL(name, target).pathname;

/** The URL of the command line. */
function url() {
  const [url] = process.argv.slice(2);
  if (!URL.canParse(url)) throw new Error('the last argument must be the URL of a server');
  return url;
}

/** Runs `checks` with a server, by default the URL of the command line, in a browser of its own. */
export async function browse(checks, server = url()) {
  const limit = setTimeout(() => {
    console.error('FAILED: took longer than two minutes');
    process.exit(1);
  }, 120_000);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  try {
    const context = await browser.newContext();
    context.setDefaultTimeout(10_000);
    await checks(context, server);
    console.log(`Chromium ${browser.version()}: ${passed} checks passed`);
  } finally {
    await browser.close();
    clearTimeout(limit);
  }
}

let passed = 0;

/** Waits for what is checked; a rejection ends the program. */
export async function check(name, outcome) {
  try {
    await outcome;
  } catch (error) {
    console.error(`FAILED ${name}`);
    throw error;
  }
  console.log(`ok ${name}`);
  passed += 1;
}

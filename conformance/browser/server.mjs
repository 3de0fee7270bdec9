// What the checks share that start servers themselves. Each server ends with the check.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';

/** A process, and the lines of its output. */
class Server {
  constructor(program, args) {
    this.child = spawn(program, args, { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.on('error', (error) => {
      console.error(`FAILED: ${program}: ${error.message}`);
      process.exit(1);
    });
    process.on('exit', () => this.child.kill('SIGKILL'));
    this.ended = once(this.child, 'exit');
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async line() {
    const { value } = await this.lines.next();
    return value;
  }

  kill(signal) {
    this.child.kill(signal);
    return this.ended;
  }
}

/** Starts an example, and returns it and its URL. */
export async function start(binary, ...args) {
  const server = new Server(binary, ['127.0.0.1:0', ...args]);
  const line = await server.line() ?? '';
  return [server, line.replace('listening on ', '')];
}

/** Starts a Redis server that stores nothing, and returns it and its port. */
export async function startRedis(port) {
  for (let tries = 0; tries < 10; tries += 1) {
    const own = port ?? await freePort();
    const args = ['--port', `${own}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const redis = new Server('redis-server', args);
    for (let line = await redis.line(); line !== undefined; line = await redis.line()) {
      if (line.includes('Ready to accept connections')) return [redis, own];
    }
    // It has ended: somebody else has the port.
  }
  throw new Error('redis-server does not start');
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

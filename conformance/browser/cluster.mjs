// Checks two chat servers that share their rooms through Redis, and what their pages say when Redis
// is stopped and started again: cluster.mjs BINARY

import { browse, check, output } from './browser.mjs';
import { start, startRedis } from './server.mjs';
import { Tab } from './tab.mjs';

/** The line that says that the servers cannot reach each other. */
const alone = (tab) => tab.page.locator('#alone');

const both = (...outcomes) => Promise.all(outcomes);

await browse(async (context, binary) => {
  let [redis, port] = await startRedis();
  const shared = ['--redis', `redis://127.0.0.1:${port}`];
  const servers = await both(start(binary, ...shared), start(binary, ...shared));
  const [first, second] = servers.map(([, url]) => url);
  const ada = await Tab.open(context, first, 'Ada');
  const eve = await Tab.open(context, first, 'Eve');
  const bob = await Tab.open(context, second, 'Bob');

  await check('one joins a room at the first server', ada.join('garden'));
  await check('one joins it at the second', bob.join('garden'));
  await check('each has the other in the list', both(
    ada.sees(ada.person('Bob')),
    bob.sees(bob.person('Ada')),
  ));
  await ada.say('is it raining there?');
  await check('a line goes to the second server', bob.sees(bob.message('Ada', 'is it raining there?')));
  await bob.say('not yet');
  await check('a line goes to the first', ada.sees(ada.message('Bob', 'not yet')));
  await check('nobody says that the others are away', both(...[ada, bob].map(
    (tab) => alone(tab).waitFor({ state: 'hidden' }),
  )));

  await redis.kill('SIGKILL');
  await check('both pages say that Redis has gone', both(alone(ada).waitFor(), alone(bob).waitFor()));
  await check('the others leave the lists', both(
    ada.misses(ada.person('Bob')),
    bob.misses(bob.person('Ada')),
  ));
  await check('another joins at the first server', eve.join('garden'));
  await check('this page says so, too', alone(eve).waitFor());
  await check('its list has the people of its server', eve.sees(eve.person('Ada')));
  await ada.say('can you hear me?');
  await check('a line goes to the same server', eve.sees(eve.message('Ada', 'can you hear me?')));
  await eve.say('yes');
  await check('and back', ada.sees(ada.message('Eve', 'yes')));

  [redis] = await startRedis(port);
  await check('all pages say that it is back', both(...[ada, eve, bob].flatMap((tab) => [
    alone(tab).waitFor({ state: 'hidden' }),
    tab.sees(tab.message('The connection to the other servers is back.')),
  ])));
  // One has joined, and two have said something.
  const unsent = /^3 lines from this server may not have reached the others\.$/;
  await check('the first server says what it could not send', both(
    ada.sees(ada.message(unsent)),
    eve.sees(eve.message(unsent)),
  ));
  await check('the second does not know yet how much it has missed', bob.sees(
    bob.message('Lines from other servers may be missing.'),
  ));
  await ada.say('it is raining now');
  await check('a line goes across again', bob.sees(bob.message('Ada', 'it is raining now')));
  await check('how much was missed is right', bob.sees(
    bob.message(/^3 lines from another server were lost\.$/),
  ));
  await check('none of it came', both(...['can you hear me?', 'yes', 'joined'].map(
    (text) => bob.misses(bob.message('Eve', text)),
  )));
  await check('the lists are whole again', both(
    ada.sees(ada.person('Bob')),
    bob.sees(bob.person('Ada')),
    bob.sees(bob.person('Eve')),
  ));
  await ada.page.screenshot({ path: output('cluster.png') });

  const ended = [servers[0][0].kill('SIGINT')];
  await check('the first server ends, and the second is told who has left', both(
    bob.sees(bob.message('Ada', 'left')),
    bob.sees(bob.message('Eve', 'left')),
  ));
  ended.push(servers[1][0].kill('SIGINT'));
  await check('both servers end', both(...ended).then((all) => all.forEach(([code]) => {
    if (code !== 0) throw new Error(`a server has ended with ${code}`);
  })));
  await redis.kill('SIGKILL');
}, process.argv[2]);

// Checks the page of the chat server in three tabs: chat.mjs http://ADDR/

import { browse, check, output } from './browser.mjs';
import { Tab } from './tab.mjs';

const markup = '<b>hello</b> & "good morning" κόσμε';

await browse(async (context, url) => {
  const ada = await Tab.open(context, url, 'Ada');
  const bob = await Tab.open(context, url, 'Bob');
  const eve = await Tab.open(context, url, 'Eve');

  await check('the first joins a room', ada.join('garden'));
  await check('the second joins it', bob.join('garden'));
  await check('a third joins another', eve.join('cellar'));
  await check('the first hears of the second', ada.sees(ada.message('Bob', 'joined')));
  await check('the first has the second in the list', ada.sees(ada.person('Bob')));
  await check('the second has the first in the list', bob.sees(bob.person('Ada')));

  await ada.say('is it raining?');
  await check('the second reads the first', bob.sees(bob.message('Ada', 'is it raining?')));
  await check('the first reads it too', ada.sees(ada.message('is it raining?')));
  await bob.say(markup);
  await check('the first reads the second, markup as text', ada.sees(ada.message('Bob', markup)));

  // What was sent before to another room would have come before one's own.
  await eve.say('it is dark in here');
  await check('the third reads itself', eve.sees(eve.message('it is dark in here')));
  await check('the third reads nothing of the first', eve.misses(eve.message('is it raining?')));
  await check('the third reads nothing of the second', eve.misses(eve.message('Bob')));
  await check('the third has neither in the list', Promise.all([
    eve.misses(eve.person('Ada')),
    eve.misses(eve.person('Bob')),
  ]));

  await bob.page.reload();
  await check('a reload is announced as leaving', ada.sees(ada.message('Bob', 'left')));
  await check('who reloaded leaves the list', ada.misses(ada.person('Bob')));
  await check('who reloaded joins again', bob.join('garden'));
  await check('joining again is announced', ada.counts(ada.message('Bob', 'joined'), 2));
  await bob.say('I am back');
  await check('who joined again is read', ada.sees(ada.message('Bob', 'I am back')));
  await check('the first reads nothing of the third', ada.misses(ada.message('dark')));
  await ada.page.screenshot({ path: output('chat.png') });

  await bob.page.close();
  await check('a closed tab is announced as leaving', ada.counts(ada.message('Bob', 'left'), 2));
  await check('who closed the tab leaves the list', ada.misses(ada.person('Bob')));
});

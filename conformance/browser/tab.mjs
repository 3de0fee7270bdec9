// What the checks of the chat's page share: a tab with it.

/** One person's tab. */
export class Tab {
  constructor(page, name) {
    this.page = page;
    this.name = name;
  }

  static async open(context, url, name) {
    const tab = new Tab(await context.newPage(), name);
    tab.page.on('pageerror', (error) => {
      console.error(`FAILED: an error in ${name}'s page:`, error);
      process.exit(1);
    });
    await tab.page.goto(url);
    return tab;
  }

  submit(form) {
    return this.page.locator(`${form} :is(button, input[type=submit])`).first().click();
  }

  async join(room) {
    await this.page.bringToFront();
    await this.page.fill('#name', this.name);
    await this.page.fill('#room', room);
    await this.submit('#join');
    await this.page.locator('#status', { hasText: /^\s*connected\s*$/ }).waitFor();
    await this.sees(this.person(this.name));
  }

  async say(text) {
    await this.page.bringToFront();
    await this.page.fill('#text', text);
    await this.submit('#say');
  }

  /** The messages that hold every one of the texts. */
  message(...texts) {
    return texts.reduce(
      (found, hasText) => found.filter({ hasText }),
      this.page.locator('#messages li'),
    );
  }

  person(name) {
    return this.page.locator('#people li', { hasText: name });
  }

  sees(found) {
    return found.first().waitFor();
  }

  /** Waits until there is none. */
  misses(found) {
    return found.first().waitFor({ state: 'detached' });
  }

  /** Waits until there are that many. */
  counts(found, count) {
    return found.nth(count - 1).waitFor();
  }
}

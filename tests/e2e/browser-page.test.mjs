// Promise: a person who opens a protected MCP URL in a real browser reads how to use it, can copy every snippet, and neither the
// page nor anything around it can do more.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { isAvailable, startChromium } from '../../testbed/chromium.mjs';
import { until } from '../../testbed/until.mjs';
import { send } from './support/http.mjs';
import { itStillServes, reasonFor, useStack } from './support/stack.mjs';

const NAME = '<img src=x onerror=alert(1)> & "Wetter"';
const stack = await useStack({
  workers: 1,
  edit: (_, plugin) => {
    plugin.resources[0].metadata = { resource_name: NAME, resource_documentation: 'https://docs.example/?a=1&b=2' };
    const { origin } = new URL(plugin.resources[0].resource);
    plugin.resources.push({ resource: `${origin}/plain`, browser_page: false });
  },
});

describe('in Chromium', { skip: !isAvailable && 'there is no Chromium among the npm packages for this machine' }, () => {
  let browser;
  before(async () => {
    browser = await startChromium();
  });
  after(() => browser?.close());

  /** Opens a URL in a fresh profile and remembers all that the page asks for and complains of. */
  async function open(url, { scripts = true, scheme = 'light', width = 1000, clipboard = true } = {}) {
    const context = await browser.createBrowserContext();
    if (clipboard) await context.overridePermissions(new URL(url).origin, ['clipboard-read', 'clipboard-sanitized-write']);
    const page = await context.newPage();
    const asked = [];
    const complaints = [];
    page.on('response', (answer) => asked.push(answer.url()));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
    await page.setJavaScriptEnabled(scripts);
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    const response = await page.goto(url);
    return { page, response, asked, complaints };
  }

  it('it is shown although the status is 401, with the challenge of everybody else', async () => {
    const { page, response, asked, complaints } = await open(stack.url);
    assert.equal(response.status(), 401);
    const plain = await send(stack.url, { method: 'GET', body: undefined, headers: { 'accept': '*/*', 'content-type': undefined } });
    assert.equal(response.headers()['www-authenticate'], plain.header('www-authenticate'));
    assert.equal(plain.json.error, 'missing_token');
    assert.equal(await page.title(), NAME, 'what the operator wrote is text');
    assert.equal(await page.$eval('h1', (heading) => heading.innerText), NAME);
    assert.equal(await page.$$eval('img', (images) => images.length), 0);
    const text = await page.$eval('main', (main) => main.innerText);
    for (const word of ['MCP server', 'Claude', 'VS Code', 'Cursor', 'MCP Inspector', 'mcp-remote', stack.url]) assert.ok(text.includes(word), word);
    const links = await page.$$eval('a', (all) => all.map(({ href }) => href));
    assert.deepEqual(links, ['https://docs.example/?a=1&b=2', /resource_metadata="([^"]+)"/.exec(plain.header('www-authenticate'))[1]]);
    assert.deepEqual(asked, [stack.url], 'it loads nothing');
    const refused = complaints.filter((complaint) => !/the server responded with a status of 401/.test(complaint));
    assert.deepEqual(refused, [], 'its own style and script are allowed');
    assert.equal(await reasonFor(stack, '/mcp'), 'mcp_oauth_missing_token');
  });

  it('every snippet can be copied', async () => {
    const { page } = await open(stack.url);
    const snippets = await page.$$eval('pre', (all) => all.map((snippet) => snippet.textContent));
    const buttons = await page.$$('button');
    assert.equal(snippets.length, 6);
    assert.equal(buttons.length, snippets.length);
    await page.bringToFront();
    for (const [index, button] of buttons.entries()) {
      await button.click();
      const told = () => button.evaluate(({ textContent }) => textContent === 'Copied');
      await until(`button ${index} says that it copied`, told, { seconds: 5 });
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), snippets[index]);
    }
    assert.equal(snippets[0], stack.url);
    assert.equal(Object.values(JSON.parse(snippets[2]).servers)[0].url, stack.url);
  });

  it('where a page may not write to the clipboard, the snippet is selected', async () => {
    const { page } = await open(stack.url);
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
    const [button] = await page.$$('button');
    await button.click();
    const selected = () => page.evaluate(() => getSelection().toString());
    await until('the address is selected', async () => (await selected()) === stack.url, { seconds: 5 });
  });

  it('without scripts it says the same, without buttons that do nothing', async () => {
    const { page } = await open(stack.url, { scripts: false });
    assert.equal((await page.$$('pre')).length, 6);
    assert.equal((await page.$$('button')).length, 0);
  });

  it('it is dark or light as the reader has it, and fits a phone', async () => {
    const look = async (scheme, width) => {
      const { page } = await open(stack.url, { scheme, width });
      const [ink, wide, room] = await page.evaluate(() => [
        getComputedStyle(document.querySelector('h1')).color,
        document.documentElement.scrollWidth,
        innerWidth,
      ]);
      return [/\d+/.exec(ink)[0] > 128 ? 'bright letters' : 'dark letters', wide <= room];
    };
    assert.deepEqual(await look('light', 1000), ['dark letters', true]);
    assert.deepEqual(await look('dark', 320), ['bright letters', true]);
  });

  it('its policy lets nothing else in, and it cannot be framed', async () => {
    const { page, asked } = await open(stack.url);
    const ran = await page.evaluate(() => {
      for (const [tag, text] of [['script', 'globalThis.ran = true'], ['style', 'h1 { display: none }']]) {
        const added = document.createElement(tag);
        added.textContent = text;
        document.body.append(added);
      }
      document.body.insertAdjacentHTML('beforeend', '<img src="/x.png"><iframe src="/mcp"></iframe><h1 style="display:none">x</h1>');
      const shown = [...document.querySelectorAll('h1')].map((heading) => getComputedStyle(heading).display);
      return [globalThis.ran, ...shown];
    });
    assert.deepEqual(ran, [null, 'block', 'block']);
    assert.deepEqual(asked, [stack.url], 'nothing is loaded');

    const outside = createServer((_, answer) => {
      answer.setHeader('content-type', 'text/html');
      answer.end(`<iframe src="${stack.url}"></iframe>`);
    });
    await new Promise((resolve) => outside.listen(0, '127.0.0.1', resolve));
    try {
      const { page: around } = await open(`http://127.0.0.1:${outside.address().port}/`);
      const [frame] = around.mainFrame().childFrames();
      assert.match(frame.url(), /^chrome-error:/);
    } finally {
      outside.close();
      outside.closeAllConnections();
    }
  });

  it('where it is switched off, a browser gets what all get', async () => {
    const { response } = await open(`${stack.origin}/plain`);
    assert.equal(response.status(), 401);
    assert.equal(response.headers()['content-type'], 'application/json');
  });
});

describe('for others', () => {
  const browser = { method: 'GET', body: undefined, headers: { 'accept': 'text/html,*/*;q=0.8', 'content-type': undefined } };

  it('HEAD has the headers of the page and no body', async () => {
    const page = await send(stack.url, browser);
    const head = await send(stack.url, { ...browser, method: 'HEAD' });
    assert.deepEqual([head.status, head.header('content-type'), head.body], [401, 'text/html; charset=utf-8', '']);
    assert.equal(head.header('content-security-policy'), page.header('content-security-policy'));
  });

  it('a bad token is told so in JSON', async () => {
    const answer = await send(stack.url, { ...browser, token: 'opaque' });
    assert.deepEqual([answer.status, answer.json.error], [401, 'invalid_token']);
  });
});

itStillServes(stack);

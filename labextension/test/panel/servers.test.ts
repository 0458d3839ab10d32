/** What a person reads before a sign-in. There is no server, and no page. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nullTranslator } from '@jupyterlab/translation';

import type { Upstream } from '../../src/api';
import { questionOf } from '../../src/panel/servers';

const trans = nullTranslator.load('');
const wiki = { name: 'wi\u202eki', where: 'https://wiki.example/mcp' } as Upstream;

test('the host that the browser will open is in the title, spelled so that no letter looks like another', () => {
  const asked = (url: string): string => questionOf(wiki, { url, host: 'trusted.example' }, trans).title;
  assert.equal(
    asked('https://login.example:8443/authorize?x=https://trusted.example'),
    'Sign in at login.example:8443?'
  );
  assert.equal(asked('https://\u0430ccounts.example/'), 'Sign in at xn--ccounts-1fg.example?');
  assert.equal(asked('https://login.example\\.trusted.example/'), 'Sign in at login.example?');
});

test('the server is named, and who gets the answer where that is another host', () => {
  const page = { url: 'https://login.example/', host: 'login.example' };
  const body = 'wi\\u202eki (https://wiki.example/mcp) asks you to sign in. The page opens in a new tab.';
  assert.equal(questionOf(wiki, page, trans).body, body);
  const answer = `${body} The result is sent to token.example.`;
  assert.equal(questionOf(wiki, { ...page, gets_code: 'token.example' }, trans).body, answer);
});

test('a page that is no page of the web, or hides its host, is not opened', () => {
  for (const url of ['javascript:alert(1)', 'file:///etc/passwd', 'https://trusted.example@login.example/', 'x']) {
    assert.throws(() => questionOf(wiki, { url, host: 'trusted.example' }, trans));
  }
});

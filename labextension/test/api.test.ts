/** What the requests to the server hold on to. There is no server. */

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';

import { ServerConnection } from '@jupyterlab/services';

import { stop, watch } from '../src/api';

test('a program that has ended before it was stopped is no error', async t => {
  const answers = [
    new Response('{"message": "it does not run"}', { status: 404 }),
    new Response('nothing is here', { status: 404 }),
    new Response('{"message": "you may not"}', { status: 403 })
  ];
  t.mock.method(ServerConnection, 'makeRequest', () => Promise.resolve(answers.shift()));
  await stop('a');
  await assert.rejects(stop('a'), /something else than JSON/);
  await assert.rejects(stop('a'), /you may not/);
});

test('a connection that ends leaves nothing behind', async () => {
  const { signal } = new AbortController();
  await new Promise<void>(ended => {
    watch({ opened: () => undefined, changed: () => undefined, ended }, signal);
    assert.equal(getEventListeners(signal, 'abort').length, 1);
  });
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

/** What the requests to the server hold on to. There is no server. */

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';

import { watch } from '../src/api';

test('a connection that ends leaves nothing behind', async () => {
  const { signal } = new AbortController();
  await new Promise<void>(ended => {
    watch({ opened: () => undefined, changed: () => undefined, ended }, signal);
    assert.equal(getEventListeners(signal, 'abort').length, 1);
  });
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError, type Completed, type Underlined } from '../../src/api';
import { Assistant, type CellRequests } from '../../src/cells/assistant';

const PLACE = { source: '%%pctx\nx', offset: 8, kernel_id: 'k' };
const EMPTY: Completed = { start: 8, end: 8, items: [] };

/** Answers with what a test says next; everything it does not say is refused. */
class Server {
  asked = 0;
  now = 0;
  answer: () => Promise<unknown> = () => Promise.reject(new Error('nobody should ask'));

  readonly assistant: Assistant;

  constructor() {
    const say = <T>(): Promise<T> => {
      this.asked++;
      return this.answer() as Promise<T>;
    };
    const questions: CellRequests = { complete: say, hover: say, signature: say, diagnostics: say };
    this.assistant = new Assistant(questions, () => this.now);
  }

  refuse(status: number, isOurs: boolean): void {
    this.answer = () => Promise.reject(new ApiError('no', status, isOurs));
  }
}

test('of completions only the newest question is answered', async () => {
  const server = new Server();
  const answers: ((answer: Completed) => void)[] = [];
  server.answer = () => new Promise(resolve => answers.push(resolve));
  const first = server.assistant.complete(PLACE);
  const second = server.assistant.complete(PLACE);
  answers.forEach(answer => {
    answer(EMPTY);
  });
  assert.deepEqual(await first, { status: 'unknown' });
  assert.deepEqual(await second, { status: 'known', value: EMPTY });
});

test('a kernel that does not know pctx is asked ever more seldom, until something happens in it', async () => {
  const server = new Server();
  server.refuse(404, true);
  for (server.now = 0; server.now <= 100_000; server.now += 100) {
    assert.deepEqual(await server.assistant.hover(PLACE), { status: 'unknown' });
  }
  assert.equal(server.asked, 7);
  assert.equal(server.assistant.isUseful('k'), false);
  assert.equal(server.assistant.isUseful('other'), true);
  server.assistant.wake('k');
  server.answer = () => Promise.resolve(EMPTY);
  assert.deepEqual(await server.assistant.complete(PLACE), { status: 'known', value: EMPTY });
});

test('a server without pctx is asked once, until it reports a change', async () => {
  const server = new Server();
  server.refuse(404, false);
  for (server.now = 0; server.now <= 1_000_000; server.now += 10_000) {
    assert.deepEqual(await server.assistant.hover(PLACE), { status: 'unknown' });
    server.assistant.wake('k'); // a cell has run
  }
  assert.equal(server.asked, 1);
  server.assistant.wakeAll();
  assert.equal(server.assistant.isUseful('k'), true);
});

test('a server that is away is left alone by all', async () => {
  for (const [status, isOurs] of [
    [0, false],
    [502, false],
    [403, true]
  ] as const) {
    const server = new Server();
    server.refuse(status, isOurs);
    assert.deepEqual(await server.assistant.hover(PLACE), { status: 'unknown' });
    assert.equal(server.assistant.isUseful('other'), false);
    server.now = 1_000;
    assert.equal(server.assistant.isUseful('other'), true);
  }
});

test('a type checker that is busy or starts is worth another try; a question that is wrong is not', async () => {
  const server = new Server();
  server.refuse(503, true);
  assert.deepEqual(await server.assistant.hover(PLACE), { status: 'later' });
  server.refuse(400, true);
  assert.deepEqual(await server.assistant.hover(PLACE), { status: 'unknown' });
  assert.equal(server.assistant.isUseful('k'), true);
});

test('checks wait for one another, and one that is withdrawn is not asked', async () => {
  const server = new Server();
  let finish: (found: Underlined[]) => void = () => undefined;
  server.answer = () => new Promise(resolve => (finish = resolve));
  const withdrawn = new AbortController();
  const kept = new AbortController();
  const first = server.assistant.diagnostics('1', 'k', kept.signal);
  const second = server.assistant.diagnostics('2', 'k', withdrawn.signal);
  const third = server.assistant.diagnostics('3', 'k', kept.signal);
  withdrawn.abort();
  await Promise.resolve();
  assert.equal(server.asked, 1);
  server.answer = () => Promise.resolve([]);
  finish([]);
  assert.deepEqual(await first, { status: 'known', value: [] });
  assert.deepEqual(await second, { status: 'unknown' });
  assert.deepEqual(await third, { status: 'known', value: [] });
  assert.equal(server.asked, 2);
});

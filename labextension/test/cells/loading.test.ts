/** Whether a kernel has loaded pctx. A kernel is a replacement that answers with what a test says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { KernelLoading, type LoadableKernel } from '../../src/cells/loading';

class TestKernel {
  readonly id = 'k';
  readonly info: LoadableKernel['info'];
  readonly codes: string[] = [];
  isLoaded = false;
  canLoad = true;

  constructor(language = 'python') {
    this.info = Promise.resolve({ language_info: { name: language } });
  }

  requestExecute: LoadableKernel['requestExecute'] = content => {
    this.codes.push(content.code);
    this.isLoaded ||= content.code !== '' && this.canLoad;
    const isError = content.code !== '' && !this.canLoad;
    const text = this.isLoaded ? 'True' : 'False';
    const reply = isError
      ? { status: 'error', ename: 'ModuleNotFoundError', evalue: 'no pctx' }
      : { status: 'ok', user_expressions: { loaded: { status: 'ok', data: { 'text/plain': text } } } };
    return { done: Promise.resolve({ content: reply }), msg: { header: { msg_id: `m${this.codes.length}` } } } as never;
  };
}

async function followed(kernel: TestKernel): Promise<KernelLoading> {
  const loading = new KernelLoading();
  loading.follow(kernel);
  await loading.ask();
  return loading;
}

test('a kernel without pctx loads it with one request, and is not asked again', async () => {
  const kernel = new TestKernel();
  const loading = await followed(kernel);
  assert.equal(loading.state, 'absent');
  await loading.load();
  assert.equal(loading.state, 'loaded');
  await loading.ask();
  assert.deepEqual(kernel.codes, ['', '%load_ext pctx_jupyter']);
  assert.ok(loading.isOwn('m1') && !loading.isOwn('m3'));
});

test('a restart forgets what was loaded, and an answer from before it is dropped', async () => {
  const kernel = new TestKernel();
  kernel.isLoaded = true;
  const loading = await followed(kernel);
  assert.equal(loading.state, 'loaded');
  loading.follow(kernel);
  const late = loading.ask();
  kernel.isLoaded = false;
  loading.follow(kernel);
  await Promise.all([late, loading.ask()]);
  assert.equal(loading.state, 'absent');
});

test('a kernel that cannot load pctx gives the reason', async () => {
  const kernel = new TestKernel();
  kernel.canLoad = false;
  const loading = await followed(kernel);
  await loading.load();
  assert.equal(loading.state, 'absent');
  assert.equal(loading.error, 'ModuleNotFoundError: no pctx');
});

test('a kernel of another language is left alone', async () => {
  const kernel = new TestKernel('R');
  const loading = await followed(kernel);
  assert.equal(loading.state, 'foreign');
  assert.deepEqual(kernel.codes, []);
});

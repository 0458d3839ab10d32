// The panel as it is drawn, in jsdom, which has no layout.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nullTranslator } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import React from 'react';

import { Drafts } from '../../src/approvals/model';
import type { ExecutionState, HeldHandle, KernelState, Question } from '../../src/api';
import { Divider, readSplit, writeSplit } from '../../src/panel/divider';
import type { Actions } from '../../src/panel/actions';
import { PanelModel, type Source } from '../../src/panel/model';
import { kernelOf, notebookOf, type NamedNotebook } from '../../src/panel/notebookLink';
import { Panel } from '../../src/panel/view';

globalThis.ResizeObserver ??= class {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
};

const trans = nullTranslator.load('');

const never = new Proxy({}, { get: () => () => new Promise(() => undefined) });

async function draw(model: PanelModel, actions: Partial<Actions> = {}): Promise<HTMLElement> {
  const props = { model, drafts: new Drafts(), actions: { ...(never as Actions), ...actions }, trans };
  const widget = ReactWidget.create(React.createElement(Panel, props));
  Widget.attach(widget, document.body);
  MessageLoop.flush();
  await widget.renderPromise;
  await new Promise(resolve => setTimeout(resolve, 20));
  return widget.node;
}

/** A model of a server with one notebook, which is in front and has no tools, and with two runs. */
async function modelOf(held: HeldHandle[] = [], trouble: string | null = null): Promise<PanelModel> {
  const kernel: KernelState = {
    kernel_id: 'k',
    name: 'Shop',
    path: 'shop.ipynb',
    connected: true,
    sharing: 'agents',
    tool_count: 0,
    version: '1'
  };
  const run = (id: string, more: Partial<ExecutionState>): ExecutionState => ({
    id,
    title: id,
    asked_by: 'cell',
    notebook: 'shop.ipynb',
    kernel_id: 'k',
    state: 'ok',
    started_at: 0,
    duration_s: 1,
    calls: 1,
    failed_calls: 0,
    error: null,
    ...more
  });
  const runs = [
    run('other', { kernel_id: 'x', asked_by: 'agent', agent: 'Claude Code', state: 'failed' }),
    run('own', {})
  ];
  const source = {
    ...Object.fromEntries(['approvals', 'permissions', 'upstreams'].map(name => [name, () => Promise.resolve([])])),
    kernels: () => Promise.resolve([kernel]),
    executions: () => Promise.resolve(runs),
    status: () => Promise.resolve({ version: '1', sandbox: { trouble } }),
    handles: () => Promise.resolve({ handles: held }),
    watch: (watcher: { opened: (draw: () => void) => void }) => {
      watcher.opened(() => undefined);
    }
  } as unknown as Source;
  const model = new PanelModel(source);
  model.follow('k');
  model.start(new AbortController().signal);
  await new Promise(resolve => setTimeout(resolve, 20));
  model.scroll(0, 800);
  return model;
}

test('runs are listed with the number of their cell or the agent, a sign, and chips that choose among them', async () => {
  const model = await modelOf();
  model.number(new Map([['own', 12]]));
  const page = await draw(model);
  const texts = async (): Promise<string[]> =>
    [...(await draw(model)).querySelectorAll('.pctx-mod-run')].map(row =>
      (row.textContent ?? '').replace(/·.*·/s, '…')
    );
  assert.deepEqual(await texts(), ['✓own[12] … 1 call', '✕otherClaude Code … 1 call']);
  const chips = [...page.querySelectorAll('.pctx-Chip')];
  assert.deepEqual(
    chips.map(chip => [chip.textContent, chip.getAttribute('aria-pressed')]),
    [
      ['all', 'true'],
      ['failed', 'false'],
      ['agents', 'false']
    ]
  );
  model.filterRuns('failed');
  assert.deepEqual(await texts(), ['✕otherClaude Code … 1 call']);
});

test('a named notebook is a link that opens it, and only its name if that cannot be done', async () => {
  const model = await modelOf();
  const opened: string[] = [];
  model.choose('run own');
  const page = await draw(model, { openNotebook: kernel => opened.push(kernel.kernel_id) });
  const links = [...page.querySelectorAll<HTMLButtonElement>('.pctx-mod-run .pctx-Link, .pctx-Detail h3 .pctx-Link')];
  assert.deepEqual(
    links.map(link => [link.textContent, link.tabIndex]),
    [
      ['shop.ipynb ↗', -1],
      ['shop.ipynb ↗', 0]
    ]
  );
  links.forEach(link => {
    link.click();
  });
  assert.deepEqual(opened, ['k', 'k']);
  assert.equal(model.chosen, 'run own');

  const asks = { execution: 'other', tool: 'Shop.refund', asked_by: 'agent' } as Question;
  const { kernels } = model;
  const of = (question: Question): NamedNotebook => notebookOf(question, kernels, () => undefined);
  assert.equal(kernelOf(kernels, of(asks))?.path, 'shop.ipynb', 'an agent asks for a tool of this notebook');
  assert.equal(kernelOf(kernels, of({ ...asks, tool: 'Mail.send' })), undefined, 'a tool of no notebook');
  assert.equal(kernelOf(kernels, of({ ...asks, notebook: 'Plots' })), undefined, 'one that is no longer there');
  assert.equal(kernelOf(kernels, { notebook: 'Shop (north/shop.ipynb)' })?.kernel_id, 'k');
  const service = { kernel_id: 's', name: 'Shop', path: null, kind: 'service' } as unknown as KernelState;
  assert.equal(kernelOf([service], { kernel_id: 's', notebook: 'Shop' }), undefined, 'a service has no notebook');
});

test('a notebook without tools shows the lines that make one, with a button that inserts them', async () => {
  const row = (await draw(await modelOf())).querySelector('.pctx-mod-example');
  assert.match(row?.querySelector('pre')?.textContent ?? '', /^@tool\ndef greet\(name: str\) -> str:\n {4}return /);
  assert.equal(row?.querySelector('button')?.textContent, 'Insert example');
});

test('what keeps programs from running is said above the list', async () => {
  const why = 'Cannot start a sandbox: Deno is not installed; install it';
  const notes = (page: HTMLElement): unknown[] =>
    [...page.querySelectorAll('[role=status]')].map(note => note.textContent);
  assert.deepEqual(notes(await draw(await modelOf([], why))), [why]);
  assert.deepEqual(notes(await draw(await modelOf())), []);
});

test('a handle shows its kind, shape, size and how long it stays, and can be forgotten unless its program runs', async () => {
  const frame = { id: 'h1', label: 'Shop.orders', kind: 'frame', shape: [100000, 3], size: 2_400_000 };
  const model = await modelOf([
    { ...frame, held: 'agents', whose: 'Claude', left_s: 60 },
    { id: 'h2', label: 'weights', kind: 'array', shape: [2, 3], held: 'session', names: ['kept', 'too'] },
    { id: 'h3', label: 'Shop.fit', kind: 'object', held: 'run' }
  ]);
  model.show(true);
  await new Promise(resolve => setTimeout(resolve, 20));
  const forgotten: unknown[] = [];
  const drawn = (): Promise<HTMLElement> =>
    draw(model, { forgetHandle: (kernel, handle) => forgotten.push([kernel, handle.id]) });
  const rows = [...(await drawn()).querySelectorAll('.pctx-mod-handle')].map(row => row.textContent);
  assert.match(rows[0] ?? '', /^Shop.ordersFrame100.000 × 3 · 2.4 MB · handed to Claude · for agents and other note/);
  assert.equal(rows[1], 'weightsArray2 × 3 · kept as kept, too');
  assert.equal(rows[2], 'Shop.fitObjectuntil its program ends');
  const detail = async (id: string): Promise<Element | null> => {
    model.choose(`handle k ${id}`);
    return (await drawn()).querySelector('.pctx-Detail');
  };
  assert.match(
    (await detail('h1'))?.textContent ?? '',
    /100.000 rows × 3 columns · 2.4 MB · handed to Claude · held for 0 ms/
  );
  (await detail('h1'))?.querySelector('button')?.click();
  assert.deepEqual(forgotten, [['k', 'h1']]);
  assert.match((await detail('h2'))?.textContent ?? '', /An earlier program exported it as kept, too/);
  assert.equal((await detail('h3'))?.querySelector('button'), null);
});

test('a kernel without pctx has a line that loads it, and notebooks that are not in front have a link to them', async () => {
  const model = await modelOf();
  assert.equal((await draw(model)).querySelector('.pctx-Row-open'), null);
  assert.ok(!model.isFrontUnknown);
  model.show(true);
  model.follow('new');
  assert.ok(model.isFrontUnknown);
  const line = async (): Promise<string | null | undefined> =>
    (await draw(model)).querySelector('.pctx-mod-unloaded')?.textContent;
  assert.equal(await line(), undefined, 'the kernel has not answered');
  model.unload({ isLoading: false, error: '' });
  assert.equal(await line(), 'This kernel has not loaded pctx.Load');
  model.unload({ isLoading: true, error: '' });
  assert.equal(await line(), 'Loading pctx…');
  model.unload({ isLoading: false, error: 'ModuleNotFoundError: no pctx' });
  assert.equal(await line(), 'Cannot load pctx in this kernel: ModuleNotFoundError: no pctxTry again');
  assert.equal((await draw(model)).querySelector('.pctx-Row-open')?.textContent, 'open ↗');
  model.unload(null);
  assert.equal(await line(), undefined);
});

test('the line between list and details is a separator, and its place is remembered', async () => {
  const model = await modelOf();
  assert.equal((await draw(model)).querySelector('[role=separator]'), null, 'there are no details');
  model.choose('kernel k');
  assert.equal((await draw(model)).querySelector<HTMLElement>('.pctx-Details')?.style.height, '');
  model.divide(0.62);
  const page = await draw(model);
  assert.equal(page.querySelector('[role=separator]')?.getAttribute('aria-valuenow'), '62');
  assert.equal(page.querySelector<HTMLElement>('.pctx-Details')?.style.height, '62%');
  model.divide(7);
  assert.equal(model.split, 0.8, 'the list stays visible');
  assert.equal(readSplit(), null);
  writeSplit(0.62);
  assert.equal(readSplit(), 0.62);
  localStorage.setItem('pctx-panel-split', 'x');
  assert.equal(readSplit(), null);
  let moved = 0;
  const line = Divider({ part: 0.5, move: part => (moved = part), trans });
  (line.props as { onKeyDown: (event: object) => void }).onKeyDown({
    key: 'ArrowUp',
    preventDefault: () => undefined,
    stopPropagation: () => undefined
  });
  assert.equal(moved, 0.55);
});

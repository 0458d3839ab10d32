import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ExecutionState, HeldHandle, KernelState, ToolState, Upstream, UpstreamTool } from '../../src/api';
import {
  HEIGHTS,
  type PanelData,
  type RunFilter,
  idOf,
  inSight,
  offsetsOf,
  placesOf,
  rowsOf
} from '../../src/panel/rows';
import { runOf } from './runs';

const kernel = (id: string, count: number, more: Partial<KernelState> = {}): KernelState => ({
  kernel_id: id,
  name: id.toUpperCase(),
  path: `${id}.ipynb`,
  connected: true,
  sharing: 'agents',
  tool_count: count,
  version: '1',
  ...more
});

const tool = (name: string, description = ''): ToolState => ({
  path: `Notebook.${name}`,
  shared_as: `Sales.${name}`,
  signature: `${name}(args?: any): Promise<any>`,
  description,
  effects: null,
  arguments: []
});

const run = (id: string, title: string): ExecutionState => runOf({ id, title, asked_by: 'agent' });

const nothing: PanelData = {
  kernels: undefined,
  tools: new Map(),
  servers: undefined,
  offered: new Map(),
  runs: undefined,
  past: [],
  questions: [],
  permissions: [],
  front: null,
  handles: null
};
const shape = (known: PanelData, query = '', toggled: string[] = []): string[] =>
  rowsOf(known, query, new Set(toggled)).map(row =>
    row.kind === 'empty' ? `${row.of}: ${row.why}` : row.kind === 'section' ? row.section : row.key
  );

test('what nobody has answered yet is being loaded, and what is not there is said to be so', () => {
  assert.deepEqual(shape(nothing), ['notebooks', 'notebooks: loading', 'runs', 'runs: loading']);
  const empty: PanelData = { ...nothing, kernels: [], servers: [], runs: [] };
  assert.deepEqual(shape(empty), ['notebooks', 'notebooks: none', 'servers', 'servers: none', 'runs', 'runs: none']);
});

const known: PanelData = {
  ...nothing,
  kernels: [kernel('a', 2), kernel('b', 1), kernel('c', 0), kernel('d', 0, { connected: false })],
  tools: new Map([
    ['a', [tool('loadOrders', 'Loads them.'), tool('save')]],
    ['b', [tool('other')]]
  ]),
  servers: [],
  questions: [],
  runs: [run('1', 'await Sales.loadOrders()'), run('2', '1 + 1')]
};

test('tools stand below their notebook, which says why it has none', () => {
  assert.deepEqual(shape(known).slice(0, 10), [
    'notebooks',
    'kernel a',
    'tool a Notebook.loadOrders',
    'tool a Notebook.save',
    'kernel b',
    'tool b Notebook.other',
    'kernel c',
    'notebooks: no-tools',
    'kernel d',
    'notebooks: disconnected'
  ]);
});

test('what is closed shows nothing of what it holds', () => {
  const rows = shape(known, '', ['section runs', 'kernel a']);
  assert.deepEqual(rows.slice(0, 3), ['notebooks', 'kernel a', 'kernel b']);
  assert.equal(rows.at(-1), 'runs');
});

test('every word that is searched must be somewhere, and closed notebooks open', () => {
  assert.deepEqual(shape(known, 'LOAD orders', ['kernel a']), [
    'notebooks',
    'kernel a',
    'tool a Notebook.loadOrders',
    'servers',
    'servers: none',
    'runs',
    'run 1'
  ]);
  assert.deepEqual(shape(known, 'b.ipynb').slice(0, 3), ['notebooks', 'kernel b', 'tool b Notebook.other']);
  assert.ok(shape(known, 'nowhere').includes('notebooks: no-match'));
});

const server = (name: string, more: Partial<Upstream> = {}): Upstream => ({
  name,
  namespace: name.toUpperCase(),
  transport: 'stdio',
  where: name,
  state: 'ready',
  tools: 2,
  ...more
});

const offered = (name: string): UpstreamTool => ({ ...tool(name), path: `X.${name}`, name: `the_${name}` });

test('a server is closed at first, and below it are its tools, or why there are none', () => {
  const servers = [
    server('x'),
    server('loading'),
    server('down', { state: 'down', error: 'no such file' }),
    server('bare', { tools: 0 })
  ];
  const all: PanelData = { ...nothing, servers, offered: new Map([['x', [offered('one'), offered('two')]]]) };
  const list = (query: string, toggled: string[]): string[] => {
    const rows = shape(all, query, toggled);
    return rows.slice(rows.indexOf('servers') + 1, rows.indexOf('runs'));
  };
  const keys = servers.map(one => `server ${one.name}`);
  assert.deepEqual(list('', []), keys);
  assert.deepEqual(list('', keys), [
    'server x',
    'tool server x X.one',
    'tool server x X.two',
    'server loading',
    'servers: loading',
    'server down',
    'servers: disconnected',
    'server bare',
    'servers: no-tools'
  ]);
  assert.deepEqual(list('x.two', []), ['server x', 'tool server x X.two']);
  assert.deepEqual(list('no such file', []), ['server down', 'servers: disconnected']);
});

test('of a server’s tools those withheld come first, and what is new or changed is marked', () => {
  const change = (name: string): { name: string; what: string[]; was: string; now: string } => ({
    name,
    what: ['description'],
    was: 'old',
    now: 'new'
  });
  const changed = [change('the_gone'), change('the_one')];
  const servers = [server('x', { changed, withheld: ['the_gone'], new: ['the_two'] })];
  const all: PanelData = {
    ...nothing,
    servers,
    offered: new Map([['x', [offered('one'), offered('two'), offered('old')]]])
  };
  const rows = rowsOf(all, '', new Set(['server x']));
  const [withheld, ...others] = rows.filter(row => row.level === 3);
  assert.ok(withheld?.kind === 'withheld' && withheld.name === 'the_gone' && withheld.change === changed[0]);
  assert.deepEqual(
    others.map(row => row.kind === 'offered' && [row.novelty, row.change?.name]),
    [
      ['changed', 'the_one'],
      ['new', undefined],
      [null, undefined]
    ]
  );
  assert.deepEqual(shape(all, 'gone').slice(-4, -2), ['server x', 'withheld server x the_gone']);
});

test('each row has its place among those beside it', () => {
  const rows = rowsOf(known, '', new Set());
  const places = placesOf(rows).map(({ number, of }) => `${number}/${of}`);
  assert.deepEqual(places.slice(0, 10), ['1/3', '1/4', '1/2', '2/2', '2/4', '1/1', '3/4', '1/1', '4/4', '1/1']);
});

test('of thousands of rows those in sight are found, with some around them', () => {
  const tools = Array.from({ length: 5000 }, (_, index) => tool(`t${index}`));
  const rows = rowsOf({ ...nothing, kernels: [kernel('a', 5000)], tools: new Map([['a', tools]]) }, '', new Set());
  const offsets = offsetsOf(rows);
  assert.equal(offsets.at(-1), 5000 * HEIGHTS.tool + 4 * HEIGHTS.section);
  const [first, end] = inSight(offsets, 100_000, 600, 0);
  assert.ok((offsets[first] ?? 0) <= 100_000 && (offsets[first + 1] ?? 0) > 100_000);
  assert.ok((offsets[end] ?? 0) >= 100_600 && end - first < 20);
  assert.deepEqual(inSight(offsets, -10, 0, 0), [0, 0]);
  assert.equal(inSight(offsets, 1e9, 600)[1], rows.length);
  assert.deepEqual(inSight(offsetsOf([]), 0, 600), [0, 0]);
});

test('every row has an id, whatever its name is', () => {
  assert.equal(idOf({ key: 'tool a b' }), 'pctx-tool%20a%20b');
  assert.equal(idOf({ key: 'x\ud800"><img>' }), 'pctx-x%EF%BF%BD%22%3E%3Cimg%3E');
});

test('the notebook in front comes first and is open; the others are folded, and found by a search', () => {
  const kernels = [kernel('a', 1), kernel('b', 1), kernel('c', 1)];
  const tools = new Map(kernels.map(({ kernel_id }) => [kernel_id, [tool('load')]]));
  const several: PanelData = { ...nothing, kernels, tools, front: 'b' };
  const keys = (data: PanelData, query = '', toggled: string[] = []): string[] =>
    shape(data, query, toggled).filter(key => !key.startsWith('runs'));
  assert.deepEqual(keys(several), ['notebooks', 'kernel b', 'tool b Notebook.load', 'kernel a', 'kernel c']);
  assert.deepEqual(keys(several, '', ['kernel b', 'kernel c']), [
    'notebooks',
    'kernel b',
    'kernel a',
    'kernel c',
    'tool c Notebook.load'
  ]);
  assert.equal(keys(several, 'load').filter(key => key.startsWith('tool')).length, 3);
  assert.equal(keys({ ...several, front: 'gone' }).filter(key => key.startsWith('tool')).length, 3);
});

test('what is allowed without asking is a section, which is there when something is', () => {
  const permissions = [{ id: 'p', tool: 'Mail.send', asked_by: ['agent'] }];
  assert.deepEqual(shape({ ...nothing, permissions }).slice(0, 2), ['permissions', 'permission p']);
  assert.ok(!shape(nothing).includes('permissions'));
});

test('the objects that the notebook in front holds are a section, which is there when it holds some', () => {
  const list: HeldHandle[] = [
    { id: 'h1', label: 'Notebook.loadOrders', kind: 'frame', held: 'agents', left_s: 60 },
    { id: 'h2', label: 'weights', kind: 'array', held: 'session', names: ['kept'] }
  ];
  const handles = { kernel: 'a', list, more: 7, at: 1000 };
  const holding: PanelData = { ...known, front: 'a', handles };
  const section = (data: PanelData, query = ''): string[] => shape(data, query).filter(key => key.startsWith('handle'));
  assert.deepEqual(section(holding), ['handles', 'handle a h1', 'handle a h2']);
  assert.deepEqual(section(holding, 'kept'), ['handles', 'handle a h2']);
  assert.deepEqual(section({ ...holding, front: 'b' }), [], 'they are of another notebook');
  assert.deepEqual(section({ ...holding, handles: { ...handles, list: [] } }), []);
  const rows = rowsOf(holding, '', new Set());
  assert.deepEqual(
    rows.flatMap(row => (row.kind === 'handle' ? [row.until] : [])),
    [1060, null]
  );
  assert.equal(rows.find(row => row.kind === 'section' && row.section === 'handles' && row.count === 9)?.level, 1);
});

test('a server that is not trusted yet does not load for ever', () => {
  const server = { name: 'x', namespace: 'X', state: 'untrusted', tools: 0 } as unknown as Upstream;
  const rows = rowsOf({ ...nothing, servers: [server] }, '', new Set(['server x']));
  assert.deepEqual(
    rows.flatMap(row => (row.kind === 'empty' && row.of === 'servers' ? [row.why] : [])),
    ['untrusted']
  );
});

test('the runs of the cells of the notebook in front come first, with the numbers of the cells that show them', () => {
  const runs: ExecutionState[] = [
    { ...run('agent', '1'), agent: 'Claude Code', called: {} },
    { ...run('own', '2'), asked_by: 'cell', kernel_id: 'a' },
    { ...run('calls it', '3'), called: { a: 2 } },
    { ...run('other', '4'), asked_by: 'cell', kernel_id: 'b', state: 'failed' }
  ];
  const front: PanelData = { ...known, runs, front: 'a', cells: new Map([['own', 12]]) };
  const found = rowsOf(front, '', new Set()).flatMap(row => (row.kind === 'run' ? [row] : []));
  assert.deepEqual(
    found.map(row => [row.run.id, row.isFront, row.cell]),
    [
      ['own', true, 12],
      ['agent', false, null],
      ['calls it', false, null],
      ['other', false, null]
    ]
  );
  const listed = (filter: RunFilter): string[] =>
    rowsOf(front, '', new Set(), filter).flatMap(row => (row.kind === 'run' ? [row.run.id] : []));
  assert.deepEqual(listed('failed'), ['other']);
  assert.deepEqual(listed('agents'), ['agent', 'calls it']);
  const good: PanelData = { ...front, runs: runs.slice(0, 3) };
  const last = rowsOf(good, '', new Set(), 'failed').at(-1);
  assert.ok(last?.kind === 'empty' && last.why === 'no-match', 'there are runs, but none of these');
});

test('the notebook in front says how to make a tool while it has none', () => {
  const front = { ...known, front: 'c' };
  assert.deepEqual(shape(front).slice(0, 3), ['notebooks', 'kernel c', 'kernel c example']);
  assert.ok(!shape({ ...known, front: 'a' }).includes('kernel c example'));
  assert.ok(!shape({ ...known, front: 'd' }).includes('kernel d example'), 'its kernel is away');
});

test('a search lists past runs after those of this server, and of one id the latest', () => {
  const past = [run('1', 'search me, past'), run('9', 'later'), run('9', 'earlier'), run('8', 'last')];
  const data: PanelData = { ...nothing, kernels: [], runs: [run('1', 'search me')], past };
  const titles = (query: string): string[] =>
    rowsOf(data, query, new Set()).flatMap(row => (row.kind === 'run' ? [row.run.title] : []));
  assert.deepEqual(titles('search'), ['search me', 'later', 'last']);
  assert.deepEqual(titles(''), ['search me']);
});

test('a notebook in front whose kernel has not loaded pctx has a row that loads it, until the server knows the kernel', () => {
  const unloaded = { isLoading: false, error: '' };
  const absent = { ...known, front: 'new', unloaded };
  assert.deepEqual(shape(absent).slice(0, 3), ['notebooks', 'unloaded', 'kernel a']);
  assert.deepEqual(shape({ ...nothing, kernels: [], front: 'new', unloaded }).slice(0, 2), ['notebooks', 'unloaded']);
  assert.ok(shape({ ...absent, front: 'd' }).includes('unloaded'), 'it was restarted');
  for (const other of [
    { ...absent, front: 'a' },
    { ...absent, front: null },
    { ...absent, unloaded: null }
  ]) {
    assert.ok(!shape(other).includes('unloaded'));
  }
  assert.ok(!shape(absent, 'orders').includes('unloaded'), 'a search finds tools');
});

// The panel's model with a server that is a function of the test's; time passes when the test says so.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ApiError,
  type ExecutionState,
  type HeldHandle,
  type KernelState,
  type Question,
  type Trace,
  type Upstream,
  type Watcher
} from '../../src/api';
import { PanelModel, type Source } from '../../src/panel/model';
import { runOf } from './runs';

const calls = [{ call: 1, tool: 'Notebook.t0', started_s: 0 }];

class Server {
  kernelList: KernelState[] = [];
  servers: Upstream[] = [];
  runs: ExecutionState[] = [];
  past: ExecutionState[] = [];
  questions: Question[] = [];
  handles: HeldHandle[] = [];
  asked: string[] = [];
  watcher: Watcher | null = null;
  refusal: Error | null = null;
  drawn: (readonly string[])[] = [];
  readonly draw = (kernels: readonly string[]): void => {
    this.drawn.push(kernels);
  };

  readonly source: Source = {
    kernels: () => this.#answer('kernels', this.kernelList),
    kernel: (id, start) => {
      const kernel = this.kernelList.find(one => one.kernel_id === id);
      const count = Math.min(500, (kernel?.tool_count ?? 0) - start);
      const tools = Array.from({ length: count }, (_, index) => ({
        path: `Notebook.t${start + index}`,
        shared_as: null,
        signature: '',
        description: '',
        effects: null,
        arguments: []
      }));
      return this.#answer(`kernel ${id} ${start}`, { ...(kernel as KernelState), tools });
    },
    executions: () => this.#answer('executions', this.runs),
    handles: id => this.#answer(`handles ${id}`, { handles: this.handles }),
    history: text => this.#answer(`history ${text}`, this.past),
    trace: id => this.#answer(`trace ${id}`, { id, code: '1', state: 'ok', calls } as Trace),
    status: () =>
      this.#answer('status', {
        version: '1',
        sessions: 0,
        tools: 0,
        executions: 0,
        sandbox: {},
        checker: {},
        upstreams: {},
        meter: { runs: 0, plain: 0, here: 0 }
      }),
    approvals: () => this.#answer('approvals', this.questions),
    permissions: () => this.#answer('permissions', []),
    upstreams: () => this.#answer('upstreams', this.servers),
    upstream: (name, start) => {
      const server = this.servers.find(one => one.name === name);
      const total = (server?.tools ?? 0) + (server?.functions?.length ?? 0);
      const count = Math.min(500, total - start);
      const tools = Array.from({ length: count }, (_, index) => ({
        path: `X.t${start + index}`,
        name: `t${start + index}`,
        shared_as: null,
        signature: '',
        description: '',
        effects: null,
        arguments: []
      }));
      const version = server?.version ?? 0;
      return this.#answer(`upstream ${name} ${start}`, { name, version, tool_count: total, start, tools });
    },
    watch: watcher => {
      this.asked.push('watch');
      this.watcher = watcher;
    }
  };

  #answer<T>(what: string, value: T): Promise<T> {
    this.asked.push(what);
    return this.refusal ? Promise.reject(this.refusal) : Promise.resolve(value);
  }
}

const kernel = (id: string, count: number, version = '1'): KernelState => ({
  kernel_id: id,
  name: id,
  path: null,
  connected: true,
  sharing: 'agents',
  tool_count: count,
  version
});

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) {
    await Promise.resolve();
  }
};

async function following(server: Server): Promise<{ model: PanelModel; later: (() => void)[]; life: AbortController }> {
  const later: (() => void)[] = [];
  const model = new PanelModel(server.source, act => later.push(act));
  const life = new AbortController();
  model.start(life.signal);
  await settled();
  return { model, later, life };
}

test('it asks once it is connected, and for tools only when somebody looks', async () => {
  const server = new Server();
  server.kernelList = [kernel('a', 3)];
  const { model } = await following(server);
  assert.deepEqual(server.asked, ['status', 'watch']);
  server.watcher?.opened(server.draw);
  await settled();
  assert.equal(model.connection, 'ready');
  assert.ok(!server.asked.includes('kernel a 0'));
  model.show(true);
  await settled();
  assert.equal(model.rows.filter(row => row.kind === 'tool').length, 3);
});

test('handles are those of the notebook in front, and requested while somebody looks and when they change', async () => {
  const server = new Server();
  server.kernelList = [kernel('a', 0), kernel('b', 0), { ...kernel('c', 0), connected: false }];
  server.handles = [{ id: 'h1', label: 'orders', kind: 'frame', held: 'session', names: ['orders'] }];
  const { model } = await following(server);
  server.watcher?.opened(server.draw);
  const askedOf = async (act: () => void): Promise<string[]> => {
    server.asked = [];
    act();
    await settled();
    return server.asked.filter(what => what.startsWith('handles'));
  };
  const held = (): string[] => model.rows.filter(row => row.kind === 'handle').map(row => row.key);
  await settled();
  assert.deepEqual(await askedOf(() => model.follow('a')), [], 'nobody looks');
  assert.deepEqual(await askedOf(() => model.show(true)), ['handles a']);
  assert.deepEqual(held(), ['handle a h1']);
  server.handles = [];
  assert.deepEqual(await askedOf(() => server.watcher?.changed('handles')), ['handles a']);
  assert.deepEqual(held(), []);
  server.handles = [{ id: 'h2', label: 'other', kind: 'array', held: 'run' }];
  assert.deepEqual(await askedOf(() => model.follow('b')), ['handles b']);
  assert.deepEqual(held(), ['handle b h2']);
  assert.deepEqual(await askedOf(() => model.follow('c')), [], 'it is not connected');
  assert.deepEqual(await askedOf(() => model.follow('unknown')), [], 'it has not loaded pctx');
  assert.deepEqual(await askedOf(() => model.follow(null)), []);
  assert.deepEqual(held(), []);
});

test('thousands of tools come in parts, and again only when they have changed', async () => {
  const server = new Server();
  server.kernelList = [kernel('a', 1200)];
  const { model } = await following(server);
  model.show(true);
  server.watcher?.opened(server.draw);
  await settled();
  assert.deepEqual(
    server.asked.filter(what => what.startsWith('kernel ')),
    ['kernel a 0', 'kernel a 500', 'kernel a 1000']
  );
  assert.equal(model.rows.filter(row => row.kind === 'tool').length, 1200);
  server.asked = [];
  server.watcher?.changed('tools');
  await settled();
  assert.ok(!server.asked.some(what => what.startsWith('kernel ')));
  server.kernelList = [kernel('a', 2, '2')];
  server.watcher?.changed('tools');
  await settled();
  assert.equal(model.rows.filter(row => row.kind === 'tool').length, 2);
});

test('a kernel that is gone takes its tools along', async () => {
  const server = new Server();
  server.kernelList = [kernel('a', 1)];
  const { model } = await following(server);
  model.show(true);
  server.watcher?.opened(server.draw);
  await settled();
  server.kernelList = [];
  server.watcher?.changed('sessions');
  await settled();
  assert.deepEqual(
    model.rows.filter(row => row.kind === 'kernel' || row.kind === 'tool'),
    []
  );
});

test('changes that come while it asks are asked about once more, not once each', async () => {
  const server = new Server();
  await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  server.asked = [];
  for (let change = 0; change < 100; change++) {
    server.watcher?.changed('executions');
  }
  await settled();
  assert.equal(server.asked.filter(what => what === 'executions').length, 2);
});

test('a server without pctx is left alone, until somebody asks again', async () => {
  const server = new Server();
  server.refusal = new ApiError('Not Found', 404, false);
  const { model, later } = await following(server);
  assert.equal(model.connection, 'absent');
  assert.equal(later.length, 0);
  server.refusal = null;
  model.retry();
  await settled();
  server.watcher?.opened(server.draw);
  assert.equal(model.connection, 'ready');
});

test('a server that goes away is asked again, ever more seldom, and all is asked for anew when it is back', async () => {
  const server = new Server();
  server.kernelList = [kernel('a', 1)];
  const { model, later } = await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  server.refusal = new ApiError('gone', 0, false);
  server.watcher?.ended();
  assert.equal(model.connection, 'lost');
  assert.equal(model.rows.filter(row => row.kind === 'kernel').length, 1, 'what was known stays');
  later.pop()?.();
  await settled();
  assert.equal(model.connection, 'lost');
  server.refusal = null;
  server.kernelList = [];
  later.pop()?.();
  await settled();
  server.watcher?.opened(server.draw);
  await settled();
  assert.equal(model.connection, 'ready');
  assert.equal(model.rows.filter(row => row.kind === 'kernel').length, 0);
});

test('nothing is asked any more once its life is over', async () => {
  const server = new Server();
  const { later, life } = await following(server);
  life.abort();
  server.watcher?.ended();
  assert.equal(later.length, 0);
});

const run = (id: string, state: ExecutionState['state'] = 'ok'): ExecutionState => ({
  id,
  title: id,
  asked_by: 'agent',
  notebook: null,
  kernel_id: null,
  state,
  started_at: 0,
  duration_s: null,
  calls: 0,
  failed_calls: 0,
  error: null
});

test('of a run that is chosen everything is asked for, and again while it changes', async () => {
  const server = new Server();
  server.runs = [run('x', 'running')];
  const { model } = await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  model.choose('run x');
  assert.equal(model.trace?.status, 'pending');
  await settled();
  assert.equal(model.trace?.status, 'ready');
  server.asked = [];
  server.watcher?.changed('executions');
  await settled();
  assert.ok(server.asked.includes('trace x'));
});

test('what is unfolded of a run stays so while it goes on, and not of the next', async () => {
  const server = new Server();
  server.runs = [run('x', 'running'), run('y')];
  const { model } = await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  model.choose('run x');
  await settled();
  const row = model.timeline?.rows[0];
  assert.ok(row);
  let changes = 0;
  model.changed.connect(() => changes++);
  model.timeline?.toggle(row);
  assert.equal(changes, 1, 'it is drawn anew');
  server.watcher?.changed('executions');
  await settled();
  const again = model.timeline?.rows[0];
  assert.ok(again?.call && again !== row && model.timeline?.isOpen(again.call));
  model.choose('run y');
  await settled();
  const other = model.timeline?.rows[0];
  assert.ok(other?.call && !model.timeline?.isOpen(other.call));
  model.choose('section runs');
  assert.equal(model.timeline, null);
});

const upstream = (name: string, tools: number, version = 1): Upstream => ({
  name,
  namespace: 'X',
  transport: 'stdio',
  where: name,
  state: 'ready',
  tools,
  version
});

async function withServers(...servers: Upstream[]): Promise<{ server: Server; model: PanelModel }> {
  const server = new Server();
  server.servers = servers;
  const { model } = await following(server);
  model.show(true);
  server.watcher?.opened(server.draw);
  await settled();
  return { server, model };
}

const askedOfServers = (server: Server): string[] => server.asked.filter(what => what.startsWith('upstream '));
const offeredIn = (model: PanelModel): number => model.rows.filter(row => row.kind === 'offered').length;

test('a server’s tools are asked for when it is opened, in parts, and again when they have changed', async () => {
  const { server, model } = await withServers(upstream('x', 1200), upstream('y', 1));
  assert.deepEqual(askedOfServers(server), []);
  model.choose('server x');
  model.fold(true);
  await settled();
  assert.deepEqual(askedOfServers(server), ['upstream x 0', 'upstream x 500', 'upstream x 1000']);
  assert.equal(offeredIn(model), 1200);
  model.fold(false);
  assert.equal(offeredIn(model), 0);
  model.fold(true);
  server.watcher?.changed('upstreams');
  await settled();
  assert.equal(askedOfServers(server).length, 3, 'nothing has changed');
  server.servers = [upstream('x', 2, 2)];
  server.watcher?.changed('upstreams');
  await settled();
  assert.equal(offeredIn(model), 2);
});

test('a server with functions for resources has them in its list, which does not load for ever', async () => {
  const { server, model } = await withServers();
  model.open('server w');
  await settled();
  server.servers = [{ ...upstream('w', 0, 0), state: 'connecting' }];
  server.watcher?.changed('upstreams');
  await settled();
  assert.equal(model.chosenRow?.kind, 'server', 'it was chosen before the server listed it');
  server.servers = [{ ...upstream('w', 2, 4), functions: ['a', 'b'] }];
  server.watcher?.changed('upstreams');
  await settled();
  assert.equal(offeredIn(model), 4);
});

const past = (id: string): ExecutionState => runOf({ id, asked_by: 'cell' });

test('a search also finds runs of earlier days, each once, and they can be opened', async () => {
  const server = new Server();
  server.runs = [past('orders today'), past('other')];
  server.past = [past('orders today'), past('an old one'), past('an old one')];
  const { model } = await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  const shown = (): string[] => model.rows.flatMap(row => (row.kind === 'run' ? [row.run.id] : []));
  assert.deepEqual(shown(), ['orders today', 'other']);
  model.search('orders');
  await settled();
  assert.ok(server.asked.includes('history orders'));
  assert.deepEqual(shown(), ['orders today', 'an old one']);
  model.choose('run an old one');
  await settled();
  assert.equal(model.trace?.status, 'ready');
  assert.equal(model.run('an old one')?.title, 'an old one');
  model.search('');
  await settled();
  assert.deepEqual(shown(), ['orders today', 'other']);
  assert.equal(model.run('an old one'), undefined);
});

test('a search finds what is in memory where the history cannot be read', async () => {
  const server = new Server();
  server.runs = [past('orders today')];
  server.past = [past('an old one')];
  const { model } = await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  model.search('o');
  await settled();
  assert.equal(model.rows.filter(row => row.kind === 'run').length, 2);
  server.refusal = new ApiError('Cannot use the history', 507, true);
  model.search('or');
  await settled();
  assert.equal(model.rows.filter(row => row.kind === 'run').length, 1);
});

test('where something is searched, the tools of all servers are', async () => {
  const { server, model } = await withServers(upstream('x', 3), upstream('y', 20));
  model.search('x.t19');
  await settled();
  assert.deepEqual(askedOfServers(server), ['upstream x 0', 'upstream y 0']);
  assert.equal(offeredIn(model), 1);
  model.search('');
  assert.equal(offeredIn(model), 0, 'they are closed as before');
});

test('tools that change while they are asked for are not mixed with those before', async () => {
  const { server, model } = await withServers(upstream('x', 600));
  server.servers = [upstream('x', 600, 2)];
  model.toggle('server x');
  await settled();
  assert.equal(offeredIn(model), 0);
  server.watcher?.changed('upstreams');
  await settled();
  assert.equal(offeredIn(model), 600);
});

test('a server that is started anew is asked again, whatever its counts say', async () => {
  const { server, model } = await withServers(upstream('x', 2));
  model.toggle('server x');
  await settled();
  server.asked = [];
  server.watcher?.ended();
  server.watcher?.opened(server.draw);
  await settled();
  assert.deepEqual(askedOfServers(server), ['upstream x 0']);
});

test('keys move through the rows, open, close, and go up', async () => {
  const server = new Server();
  server.kernelList = [kernel('a', 2)];
  const { model } = await following(server);
  model.show(true);
  server.watcher?.opened(server.draw);
  await settled();
  model.move(Infinity);
  assert.equal(model.chosenRow, model.rows.at(-1));
  model.choose('nothing that is there');
  model.move(1);
  assert.equal(model.chosen, 'section notebooks');
  model.move(2);
  assert.equal(model.chosen, 'tool a Notebook.t0');
  model.fold(false);
  assert.equal(model.chosen, 'kernel a');
  model.fold(false);
  assert.equal(model.rows.filter(row => row.kind === 'tool').length, 0);
  model.fold(true);
  model.fold(true);
  assert.equal(model.chosen, 'tool a Notebook.t0');
  model.move(Infinity);
  assert.equal(model.chosenRow, model.rows.at(-1));
  model.move(-Infinity);
  assert.equal(model.chosenRow, model.rows[0]);
});

test('what is chosen by a key is brought into sight', async () => {
  const server = new Server();
  server.kernelList = [kernel('a', 400)];
  const { model } = await following(server);
  model.show(true);
  server.watcher?.opened(server.draw);
  await settled();
  model.scroll(0, 300);
  model.move(1);
  model.move(200);
  const at = model.rows.findIndex(row => row.key === model.chosen);
  assert.ok(at >= 200);
  assert.deepEqual(model.wanted, [model.offsets[at], model.offsets[at + 1]]);
  const [first, end] = model.sight;
  assert.ok(end - first < 30);
});

test('after an answer the next call that waits is chosen, and after the last one what was chosen before', async () => {
  const server = new Server();
  server.runs = [{ id: 'r' } as ExecutionState];
  const { model } = await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  model.choose('run r');
  const waiting = (...ids: string[]): Question[] => ids.map(id => ({ id, tool: 'A.b', arguments: '{}' }) as Question);
  const told = async (...ids: string[]): Promise<string | null> => {
    server.questions = waiting(...ids);
    server.watcher?.changed('approvals');
    await settled();
    return model.chosen;
  };
  assert.equal(await told('a', 'b'), 'run r', 'it takes nothing from under the reader');
  model.choose('question a');
  assert.equal(await told('b', 'c'), 'question b');
  assert.equal(await told('c'), 'question c');
  assert.equal(await told(), 'run r');
});

test('a call that waits is chosen by itself where nothing else is', async () => {
  const server = new Server();
  server.questions = [{ id: 'a', tool: 'A.b', arguments: '{}' } as Question];
  const { model } = await following(server);
  server.watcher?.opened(server.draw);
  await settled();
  assert.equal(model.chosen, 'question a');
});

test('the kernels whose guest programs the page shows are reported when they change, and on each new connection', async () => {
  const server = new Server();
  const model = new PanelModel(server.source);
  const end = new AbortController();
  model.draw(['b', 'a']);
  model.start(end.signal);
  await settled();
  server.watcher?.opened(server.draw);
  model.draw(['a', 'b']);
  model.draw(['a']);
  server.watcher?.ended();
  model.draw([]);
  server.watcher?.opened(server.draw);
  assert.deepEqual(server.drawn, [['a', 'b'], ['a'], []]);
  end.abort();
});

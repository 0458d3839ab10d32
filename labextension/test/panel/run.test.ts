import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Signal } from '@lumino/signaling';

import type { Trace } from '../../src/api';
import type { PanelModel } from '../../src/panel/model';
import { RunModel } from '../../src/panel/run';

test('the tab of a run requests its trace again while it runs, so that a call that waits reaches to the present', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const states: Trace['state'][] = ['running', 'running', 'ok'];
  const asked: string[] = [];
  const panel = { runsChanged: new Signal<object, void>({}), run: () => undefined } as unknown as PanelModel;
  const trace = (id: string): Promise<Trace> => {
    asked.push(id);
    return Promise.resolve({
      id,
      state: states[asked.length - 1],
      duration_s: asked.length,
      calls: []
    } as unknown as Trace);
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) {
      await Promise.resolve();
    }
  };
  const model = new RunModel('a', panel, { trace });
  for (let second = 0; second < 5; second++) {
    await settle();
    t.mock.timers.tick(1000);
  }
  assert.deepEqual(asked, ['a', 'a', 'a'], 'not after its end');
  model.dispose();
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MimeModel, RenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { nullTranslator } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { EMBED_OPTIONS } from '../../src/charts/check';
import { guardCharts } from '../../src/charts/guard';

// Real: the registry and its models. What draws a chart here keeps what it was given.

const LITE = 'application/vnd.vegalite.v5+json';
const VEGA = 'application/vnd.vega.v5+json';
const BAR = { mark: 'bar', data: { values: [{ a: '<b>', n: 1 }] }, usermeta: { embedOptions: {} } };
const HREF = { ...BAR, mark: { type: 'bar', href: 'x' } };

type Drawn = Pick<IRenderMime.IMimeModel, 'data' | 'metadata'>;

function factory(drawn: Drawn[]): IRenderMime.IRendererFactory {
  class Drawing extends Widget implements IRenderMime.IRenderer {
    renderModel(model: IRenderMime.IMimeModel): Promise<void> {
      drawn.push({ data: model.data, metadata: model.metadata });
      return Promise.resolve();
    }
  }
  return { safe: true, mimeTypes: [LITE, VEGA], createRenderer: () => new Drawing() };
}

async function show(type: string, spec: object, trusted: boolean, metadata: object = {}): Promise<[Drawn[], string]> {
  const drawn: Drawn[] = [];
  const registry = new RenderMimeRegistry();
  registry.addFactory(factory([]), 50); // there before ours, and replaced after it
  guardCharts(registry, nullTranslator.load(''));
  registry.addFactory(factory(drawn), 60);
  const renderer = registry.clone().createRenderer(type);
  const data = { [type]: spec } as IRenderMime.IMimeModel['data'];
  await renderer.renderModel(new MimeModel({ data, metadata: { [type]: metadata } as never, trusted }));
  return [drawn, renderer.node.textContent ?? ''];
}

test('an untrusted chart is drawn as the list allows it, with our options', async () => {
  const [[drawn]] = await show(LITE, BAR, false, { embed_options: { renderer: 'svg', bind: 'body' } });
  assert.deepEqual(drawn?.data[LITE], { mark: 'bar', data: BAR.data });
  assert.deepEqual(drawn?.metadata[LITE], { embed_options: EMBED_OPTIONS });
});

test('an untrusted chart that is refused is its data and a line', async () => {
  for (const [type, spec, reason] of [
    [LITE, HREF, 'its "mark.href" is not among the members'],
    [VEGA, BAR, 'only Vega-Lite is drawn']
  ] as const) {
    const [drawn, text] = await show(type, spec, false);
    assert.deepEqual(drawn, []);
    assert.match(text, /^an?<b>1This chart is not drawn: /);
    assert.ok(text.includes(reason) && text.includes('trust the notebook'));
  }
});

test('a trusted chart of the user is drawn as it is, one of a program is checked again', async () => {
  const [[drawn]] = await show(LITE, HREF, true);
  assert.deepEqual(drawn?.data[LITE], HREF);
  const [none, text] = await show(LITE, HREF, true, { embed_options: EMBED_OPTIONS });
  assert.deepEqual(none, []);
  assert.match(text, /mark\.href/);
});

test('an empty picture of a chart is not kept, for the chart would be drawn again without end', async () => {
  const kept: string[] = [];
  class Pictured extends Widget implements IRenderMime.IRenderer {
    renderModel(model: IRenderMime.IMimeModel): Promise<void> {
      model.setData({ data: { ...model.data, 'image/png': '' } });
      model.setData({ data: { ...model.data, 'image/png': 'AAAA' } });
      return Promise.resolve();
    }
  }
  const registry = new RenderMimeRegistry();
  guardCharts(registry, nullTranslator.load(''));
  registry.addFactory({ safe: true, mimeTypes: [LITE], createRenderer: () => new Pictured() }, 60);
  const model = new MimeModel({
    data: { [LITE]: BAR },
    callback: ({ data }) => kept.push(JSON.stringify(data?.['image/png']))
  });
  await registry.createRenderer(LITE).renderModel(model);
  assert.deepEqual(kept, ['"AAAA"']);
});

test('a guard that comes last guards what is there already', async () => {
  const drawn: Drawn[] = [];
  const registry = new RenderMimeRegistry();
  registry.addFactory(factory(drawn), 50);
  guardCharts(registry, nullTranslator.load(''));
  const model = new MimeModel({ data: { [LITE]: HREF }, trusted: false });
  await registry.createRenderer(LITE).renderModel(model);
  assert.deepEqual([drawn, registry.getRank(LITE)], [[], 50]);
});

/**
 * Runs the check of charts before any renderer draws them, because JupyterLab also draws charts of untrusted notebooks.
 *
 * A chart that the user's own code made in a trusted notebook is drawn without a check: such code could run script anyway.
 * This module knows how JupyterLab finds the renderer of a MIME type. It does not know how a chart is drawn.
 */

import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';

import { inert, inertLine } from '../inert';
import { CHART, clean, EMBED_OPTIONS, ChartRefused, rows } from './check';

/** Rows and columns of the table that is shown instead of a chart. */
const MOST_ROWS = 20;
const MOST_COLUMNS = 30;

/** Check charts that have been or will be given to any renderer of this registry. */
export function guardCharts(rendermime: IRenderMimeRegistry, trans: TranslationBundle): void {
  const add = rendermime.addFactory.bind(rendermime);
  for (const type of rendermime.mimeTypes.filter(type => CHART.test(type))) {
    const usual = rendermime.getFactory(type);
    if (usual) {
      add(guarded({ ...usual, mimeTypes: [type] }, trans), rendermime.getRank(type));
    }
  }
  // Extensions are activated in any order, and the last renderer of a type is the one that counts.
  rendermime.addFactory = (factory, rank) => {
    add(factory.mimeTypes.some(type => CHART.test(type)) ? guarded(factory, trans) : factory, rank);
  };
}

function guarded(usual: IRenderMime.IRendererFactory, trans: TranslationBundle): IRenderMime.IRendererFactory {
  const createRenderer = (options: IRenderMime.IRendererOptions): IRenderMime.IRenderer => {
    const renderer = usual.createRenderer(options);
    const type = options.mimeType;
    if (!CHART.test(type)) {
      return renderer;
    }
    const draw = renderer.renderModel.bind(renderer);
    renderer.renderModel = async model => {
      if (model.trusted && !isOfProgram(model.metadata[type])) {
        await draw(model);
        return;
      }
      let chart: Record<string, unknown>;
      try {
        chart = clean(type, model.data[type]);
      } catch (error) {
        if (!(error instanceof ChartRefused)) {
          throw error;
        }
        const line = trans.__('This chart is not drawn: %1.', error.message);
        const more = model.trusted ? '' : trans.__('If you trust its author, trust the notebook.');
        show(renderer.node, rows(model.data[type]), inertLine(`${line} ${more}`, 600));
        return;
      }
      await draw(checked(model, type, chart));
    };
    return renderer;
  };
  return { ...usual, createRenderer };
}

/** The same output with the chart that was checked, and with our options for the renderer. */
function checked(model: IRenderMime.IMimeModel, type: string, chart: Record<string, unknown>): IRenderMime.IMimeModel {
  return {
    trusted: model.trusted,
    data: { ...model.data, [type]: chart as IRenderMime.IMimeModel['data'][string] },
    metadata: { ...model.metadata, [type]: { embed_options: EMBED_OPTIONS } },
    setData: options => {
      // A canvas without width or height, or beyond what a browser can hold, has an empty picture. JupyterLab takes
      // that for a missing picture, draws the chart again, and never stops.
      if (options.data?.['image/png'] === '') {
        return;
      }
      // A picture of the chart is added to the output; the chart in the output does not change.
      const data = options.data && { ...options.data, [type]: model.data[type] };
      model.setData({ ...options, data });
    }
  };
}

/** Whether a kernel's extension published the chart: it always sets these options. */
function isOfProgram(metadata: unknown): boolean {
  const options = (metadata as { embed_options?: Partial<typeof EMBED_OPTIONS> } | null | undefined)?.embed_options;
  return options?.tooltip === false && options.renderer === 'canvas' && typeof options.actions === 'object';
}

/** Show the data of a chart, and why it is not drawn. */
function show(node: HTMLElement, data: Record<string, unknown>[], line: string): void {
  const shown = data.slice(0, MOST_ROWS);
  const columns = [...new Set(shown.flatMap(row => Object.keys(row)))].slice(0, MOST_COLUMNS);
  const note = element('div', 'pctx-Table-quiet', line);
  if (columns.length === 0) {
    node.replaceChildren(note);
    return;
  }
  const head = element('thead', '');
  head.append(row('th', columns));
  const body = element('tbody', '');
  body.append(
    ...shown.map(one =>
      row(
        'td',
        columns.map(name => written(one, name))
      )
    )
  );
  const table = element('table', '');
  table.append(head, body);
  const frame = element('div', 'pctx-Table-scroll');
  frame.append(table);
  const whole = element('div', 'pctx-Table');
  whole.append(frame, note);
  node.replaceChildren(whole);
}

function row(cell: 'th' | 'td', texts: string[]): HTMLElement {
  const made = element('tr', '');
  made.append(...texts.map(text => element(cell, '', inert(text, 300))));
  return made;
}

function written(one: Record<string, unknown>, name: string): string {
  if (!Object.hasOwn(one, name)) {
    return '';
  }
  const value = one[name];
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function element(name: string, className: string, text = ''): HTMLElement {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

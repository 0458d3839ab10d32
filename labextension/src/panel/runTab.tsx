/** The tab of one run: its program in TypeScript's colours, all of its calls, its value, and what can be done with it. */

import { MainAreaWidget } from '@jupyterlab/apputils';
import type { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import React from 'react';

import { Code } from '../code';
import { pctxIcon } from '../icon';
import { inert, inertLine } from '../inert';
import { Calls } from '../results/timeline';
import type { RunModel } from './run';
import type { Actions, RunActions } from './actions';
import { endName } from './names';
import { drawAsker, notebookLinks } from './notebookLink';
import { MOST_SHOWN, RunButtons, RunError } from './runParts';
import { duration, size, time } from './words';

/** Characters of a tab's title. */
const MOST_TITLE = 30;

interface RunProps {
  model: RunModel;
  languages: IEditorLanguageRegistry | null;
  actions: RunActions & Pick<Actions, 'openNotebook'>;
  trans: TranslationBundle;
}

export class RunTab extends MainAreaWidget<RunContent> {
  /** The id of the run. */
  readonly run: string;

  constructor(props: RunProps) {
    super({ content: new RunContent(props) });
    this.run = props.model.id;
    this.id = `pctx-run-${props.model.id}`;
    this.title.icon = pctxIcon;
    this.title.closable = true;
    // JupyterLab names all such regions alike.
    this.content.node.setAttribute('aria-label', props.trans.__('Run'));
  }
}

export class RunContent extends ReactWidget {
  readonly #props: RunProps;

  constructor(props: RunProps) {
    super();
    this.#props = props;
    this.addClass('pctx-Run');
    const { model, trans } = props;
    const name = (): void => {
      const title = model.run?.title ?? (model.trace.status === 'ready' ? model.trace.value.code : '');
      this.title.label = inertLine(title, MOST_TITLE) || trans.__('Run');
      this.title.caption = trans.__('A run of a program');
    };
    model.changed.connect(name);
    name();
  }

  override dispose(): void {
    this.#props.model.dispose();
    super.dispose();
  }

  protected override render(): React.ReactElement {
    return <UseSignal signal={this.#props.model.changed}>{() => <Run {...this.#props} />}</UseSignal>;
  }
}

function Run({ model, languages, actions, trans }: RunProps): React.ReactElement {
  const { run, trace } = model;
  const draw = notebookLinks(model.kernels, actions.openNotebook, trans);
  return (
    <>
      <div className="pctx-Run-head">
        {run && (
          <h2>
            {drawAsker(run, draw, trans)} · {endName(run, trans)}
          </h2>
        )}
        {run && (
          <span className="pctx-Detail-quiet">
            {[time(run.started_at), run.duration_s === null ? '' : duration(run.duration_s)]
              .filter(Boolean)
              .join(' · ')}
          </span>
        )}
        <div className="pctx-Detail-buttons">
          <RunButtons run={run} trace={trace.status === 'ready' ? trace.value : null} actions={actions} trans={trans} />
        </div>
      </div>
      {trace.status === 'pending' && <p className="pctx-Detail-quiet">{trans.__('Loading…')}</p>}
      {trace.status === 'failed' && <p className="pctx-Detail-error">{inert(trace.error.message, 1000)}</p>}
      {trace.status === 'ready' && (
        <>
          <RunError error={trace.value.error} />
          <h3>{trans.__('Program')}</h3>
          <Program code={trace.value.code} languages={languages} trans={trans} />
          <h3>{trans.__('Calls')}</h3>
          <Calls model={model.timeline} trans={trans} />
          {!trace.value.calls_in_all && <p className="pctx-Detail-quiet">{trans.__('It called no tools.')}</p>}
          {trace.value.meter && (
            <p className="pctx-Detail-quiet">
              {trans.__(
                'About %1 tokens for a model; the same calls one by one: about %2',
                trace.value.meter.here.toLocaleString(),
                trace.value.meter.plain.toLocaleString()
              )}
            </p>
          )}
          {trace.value.result && (
            <>
              <h3>
                {trans.__('Value')}
                {trace.value.result_bytes ? ` (${size(trace.value.result_bytes)})` : ''}
              </h3>
              <Code label={trans.__('Value')}>{inert(indented(trace.value.result), MOST_SHOWN)}</Code>
            </>
          )}
        </>
      )}
    </>
  );
}

/** A program in the colours of TypeScript; without them until the language is there. */
function Program(props: Pick<RunProps, 'languages' | 'trans'> & { code: string }): React.ReactElement {
  const { languages, trans } = props;
  const code = inert(props.code, MOST_SHOWN);
  const place = React.useRef<HTMLElement | null>(null);
  React.useEffect(() => {
    let isOver = false;
    const fragment = document.createElement('code');
    // With a line end: JupyterLab 4.2 leaves the last character out where it has no colour.
    void languages?.highlight(`${code.trimEnd()}\n`, languages.findByName('TypeScript'), fragment).then(() => {
      if (!isOver && place.current && fragment.textContent?.trimEnd() === code.trimEnd()) {
        place.current.replaceChildren(...fragment.childNodes);
      }
    });
    return () => {
      isOver = true;
    };
  }, [code, languages]);
  return (
    <Code label={trans.__('Program')}>
      <code key={code} ref={place}>
        {code}
      </code>
    </Code>
  );
}

/** JSON with an indent; what was cut is no JSON, and stays as it is. */
function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

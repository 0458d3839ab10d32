/** Draws the timeline of a run. All of its text is untrusted, and shown as text. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { inert, inertLine } from '../inert';
import type { TimelineModel } from './model';
import {
  callsOf,
  concurrency,
  duration,
  share,
  size,
  ticks,
  type RunFailure,
  type TimelineLine,
  type TimelineRow,
  type TracedRun
} from './trace';

interface TimelineProps {
  model: TimelineModel;
  trans: TranslationBundle;
  copy: (text: string) => void;
}

export function Timeline({ model, trans, copy }: TimelineProps): React.ReactElement {
  const run = model.run;
  if (model.isReserved) {
    return <></>; // a place without content: no call has been made yet
  }
  if (run === null) {
    return <div className="pctx-Timeline-quiet">{trans.__('This is not a timeline.')}</div>;
  }
  return (
    <div className={`pctx-Timeline pctx-is-${run.state}`} role="group" aria-label={trans.__('Timeline of the run')}>
      <div className="pctx-Timeline-head">
        <button
          type="button"
          className="pctx-Timeline-fold"
          data-lm-suppress-shortcuts="true"
          aria-expanded={!model.isFolded}
          onClick={() => {
            model.fold();
          }}
        >
          <span className="pctx-Timeline-caret" aria-hidden="true" />
          <Headline run={run} trans={trans} />
        </button>
        <button
          type="button"
          className="pctx-Timeline-act"
          data-lm-suppress-shortcuts="true"
          onClick={() => {
            copy(model.text);
          }}
        >
          {trans.__('Copy as JSON')}
        </button>
      </div>
      {!model.isFolded && <Rows run={run} model={model} trans={trans} />}
      {!model.isFolded && run.lines.length > 0 && <Console run={run} trans={trans} />}
      {run.failure && <FailureLine failure={run.failure} />}
    </div>
  );
}

/** Draws only the calls and the console, for views that show the head and the error themselves. */
export function Calls({ model, trans }: Pick<TimelineProps, 'model' | 'trans'>): React.ReactElement | null {
  const { run } = model;
  if (run === null || (run.rows.length === 0 && run.lines.length === 0)) {
    return null;
  }
  return (
    <div className={`pctx-Timeline pctx-is-${run.state}`} role="group" aria-label={trans.__('Timeline of the run')}>
      {run.rows.length > 0 && <Rows run={run} model={model} trans={trans} />}
      {run.lines.length > 0 && <Console run={run} trans={trans} />}
    </div>
  );
}

function Headline({ run, trans }: { run: TracedRun; trans: TranslationBundle }): React.ReactElement {
  const most = concurrency(run);
  const count = run.callsInAll;
  const states = { running: trans.__('running …'), stopped: trans.__('stopped'), failed: trans.__('failed'), ok: '' };
  // A map and not an object: a file may contain the name of an inherited member.
  const askers = new Map([
    ['agent', trans.__('requested by an agent')],
    ['notebook', trans.__('requested by another notebook')]
  ]);
  return (
    <>
      <span>{trans._n('%1 tool call', '%1 tool calls', count, count.toLocaleString())}</span>
      {run.failedCalls > 0 && (
        <span className="pctx-Timeline-wrong">{trans.__('%1 failed', run.failedCalls.toLocaleString())}</span>
      )}
      {most > 1 && <span>{trans.__('up to %1 at once', most)}</span>}
      <span>{duration(run.durationS)}</span>
      {states[run.state] && (
        <span className={run.state === 'failed' ? 'pctx-Timeline-wrong' : 'pctx-Timeline-state'} aria-live="polite">
          {states[run.state]}
        </span>
      )}
      {askers.has(run.askedBy) && <span>{askers.get(run.askedBy)}</span>}
    </>
  );
}

function Rows({
  run,
  model,
  trans
}: {
  run: TracedRun;
  model: TimelineModel;
  trans: TranslationBundle;
}): React.ReactElement {
  const left = run.callsInAll - callsOf(run).length;
  const onKeyDown = (event: React.KeyboardEvent<HTMLElement>) => {
    if (model.move(event.key)) {
      event.preventDefault();
      const rows = event.currentTarget.querySelectorAll<HTMLElement>('.pctx-Timeline-row');
      rows[model.current]?.focus();
    }
  };
  return (
    <div className="pctx-Timeline-rows" onKeyDown={onKeyDown}>
      <ul>
        {run.rows.map((row, index) => (
          <li key={index}>
            <RowLine run={run} row={row} model={model} isCurrent={index === model.current} trans={trans} />
            {model.isOpen(row) && <Details row={row} trans={trans} />}
          </li>
        ))}
      </ul>
      <Scale run={run} />
      {left > 0 && (
        <div className="pctx-Timeline-quiet">
          {trans._n('%1 more call', '%1 more calls', left, left.toLocaleString())}
        </div>
      )}
    </div>
  );
}

interface TimelineRowProps {
  run: TracedRun;
  row: TimelineRow;
  model: TimelineModel;
  isCurrent: boolean;
  trans: TranslationBundle;
}

function RowLine({ run, row, model, isCurrent, trans }: TimelineRowProps): React.ReactElement {
  const name = nameOf(row, trans);
  const took = row.isUnderWay ? '…' : duration(row.endedS - row.beganS);
  const said = saidOf(row, trans);
  const begin = share(run, row.beganS);
  const kind = row.error !== null ? 'failed' : row.isUnderWay ? 'underWay' : row.id === 0 ? 'check' : 'done';
  const states = { failed: trans.__('failed'), underWay: trans.__('under way'), check: '', done: '' };
  return (
    <button
      type="button"
      className={`pctx-Timeline-row pctx-is-${kind}`}
      data-lm-suppress-shortcuts="true" // arrow keys move in the list; otherwise the notebook would select other cells
      aria-expanded={model.isOpen(row)}
      aria-label={[name, took, said, states[kind]].filter(part => part !== '').join(', ')}
      tabIndex={isCurrent ? 0 : -1}
      title={`${name}: ${duration(row.beganS)} – ${row.isUnderWay ? '…' : duration(row.endedS)}`}
      onClick={() => {
        model.toggle(row);
      }}
    >
      <span className="pctx-Timeline-name">{name}</span>{' '}
      <span className="pctx-Timeline-track">
        <span
          className="pctx-Timeline-bar"
          style={{ left: `min(${percent(begin)}, calc(100% - 2px))`, width: percent(share(run, row.endedS) - begin) }}
        />
      </span>
      <span className="pctx-Timeline-took">{took}</span>{' '}
      {said !== '' && <span className="pctx-Timeline-said">{said}</span>}
    </button>
  );
}

function Details({ row, trans }: { row: TimelineRow; trans: TranslationBundle }): React.ReactElement {
  const names = { arguments: trans.__('Arguments'), result: trans.__('Result') };
  const told = row.error ?? (row.id === 0 ? row.note : '');
  return (
    <div className="pctx-Timeline-details">
      {row.parts.map(part => (
        <React.Fragment key={part.name}>
          <div className="pctx-Timeline-quiet">
            {names[part.name]} · {size(part.bytes)}
          </div>
          {part.text !== '' && (
            <pre role="group" tabIndex={0} aria-label={names[part.name]}>
              {inert(pretty(part.text)) + (isCut(part.text, part.bytes) ? ' …' : '')}
            </pre>
          )}
        </React.Fragment>
      ))}
      {told !== '' && (
        <pre
          role="group"
          tabIndex={0}
          aria-label={row.error !== null ? trans.__('Error') : trans.__('Type check')}
          className={row.error !== null ? 'pctx-Timeline-wrong' : ''}
        >
          {inert(told)}
        </pre>
      )}
      {row.parts.length === 0 && told === '' && (
        <div className="pctx-Timeline-quiet">
          {row.id === 0 ? trans.__('No type errors.') : trans.__('No details of this call are kept.')}
        </div>
      )}
    </div>
  );
}

/** The share of a run after which a narrow timeline has no room for the text of a tick. */
const LATE = 0.75;

function Scale({ run }: { run: TracedRun }): React.ReactElement {
  return (
    <div className="pctx-Timeline-scale" aria-hidden="true">
      <span className="pctx-Timeline-track">
        {ticks(run).map(at => (
          <span
            key={at}
            className={share(run, at) > LATE ? 'pctx-Timeline-tick pctx-is-late' : 'pctx-Timeline-tick'}
            style={{ left: percent(share(run, at)) }}
          >
            {duration(at)}
          </span>
        ))}
      </span>
    </div>
  );
}

function Console({ run, trans }: { run: TracedRun; trans: TranslationBundle }): React.ReactElement {
  const levels = { debug: trans.__('debug'), log: '', warn: trans.__('warning'), error: trans.__('error') };
  const count = run.lines.length;
  return (
    <details className="pctx-Timeline-console">
      <summary data-lm-suppress-shortcuts="true">
        {trans.__('Console')}
        <span className="pctx-Timeline-quiet">
          {trans._n('%1 message', '%1 messages', count, count)}
          {run.areLinesCut ? ` ${trans.__('and more')}` : ''}
        </span>
        <span className="pctx-Timeline-track" aria-hidden="true">
          {run.lines.map((line, index) => (
            <span
              key={index}
              className={`pctx-Timeline-mark pctx-is-${line.level}`}
              style={{ left: percent(share(run, line.atS)) }}
            />
          ))}
        </span>
      </summary>
      {run.lines.map((line, index) => (
        <ConsoleRow key={index} line={line} level={levels[line.level]} />
      ))}
    </details>
  );
}

function ConsoleRow({ line, level }: { line: TimelineLine; level: string }): React.ReactElement {
  return (
    <div className={`pctx-Timeline-line pctx-is-${line.level}`}>
      <span className="pctx-Timeline-quiet">{duration(line.atS)}</span>
      {level !== '' && <span className="pctx-Timeline-level">{level}</span>}
      <pre>{inert(line.text.replace(/\n$/, ''))}</pre>
    </div>
  );
}

/** The error in a line: its place, and the code around it, are in the output of the error itself, below. */
function FailureLine({ failure }: { failure: RunFailure }): React.ReactElement {
  const said = [failure.name, failure.message].filter(part => part !== '').join(': ');
  return (
    <div className="pctx-Timeline-failure">
      <span className="pctx-Timeline-wrong">{inertLine(said)}</span>
    </div>
  );
}

function nameOf(row: TimelineRow, trans: TranslationBundle): string {
  return row.id === 0 ? trans.__('type check') : inertLine(row.name, 200);
}

/** The decision on a call, and what delays it or delayed it to the end. */
function saidOf(row: TimelineRow, trans: TranslationBundle): string {
  const note = row.id === 0 ? '' : inertLine(row.note, 200);
  return [decisionText(row.decision, trans), note].filter(part => part !== '').join(' · ');
}

/** The text for a decision of `approvals.py`. */
export function decisionText(decision: string, trans: TranslationBundle): string {
  switch (decision) {
    case 'allowed':
      return trans.__('allowed');
    case 'edited':
      return trans.__('allowed as changed');
    case 'granted':
      return trans.__('always allowed');
    case 'denied':
      return trans.__('denied by you');
    case 'unanswered':
      return trans.__('not answered');
    case 'forbidden':
      return trans.__('denied by the policy');
    default:
      return inertLine(decision, 40);
  }
}

function percent(part: number): string {
  return `${(100 * part).toFixed(3)}%`;
}

function isCut(shown: string, bytes: number): boolean {
  return new TextEncoder().encode(shown).length < bytes;
}

/** Format JSON that is complete. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Draws the timeline of a run. All of its text is untrusted, and shown as text. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { inert, inertLine } from '../inert';
import { ConsoleLine } from './console';
import type { Life, ListRow, TimelineModel } from './model';
import {
  density,
  duration,
  share,
  size,
  step,
  ticks,
  wait,
  type CallGroup,
  type RunEnd,
  type RunFailure,
  type TimelineRow,
  type CallTotals,
  type TracedRun,
  type TypeCheck
} from './trace';

interface TimelineProps {
  model: TimelineModel;
  trans: TranslationBundle;
  copy: (text: string) => void;
}

/** Tools that the head names. */
const NAMED = 4;
/** Columns of the strip in the head, one for each of its pixels, and of the strip of a group's row. */
const OVERVIEW = 160;
const STRIP = 320;
/** Pixels before the end of the list at which more rows are drawn. */
const NEAR_PX = 400;

export function Timeline({ model, trans, copy }: TimelineProps): React.ReactElement {
  const run = model.run;
  if (model.isReserved) {
    return <></>; // a place without content: no call has been made yet
  }
  if (run === null) {
    return <div className="pctx-Timeline-quiet">{trans.__('This is not a timeline.')}</div>;
  }
  return (
    <div className={classOf(run, model.life)} role="group" aria-label={trans.__('Timeline of the run')}>
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
          <Headline run={run} life={model.life} trans={trans} />
        </button>
        <Overview run={run} />
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
      {run.failure && run.askedBy !== 'cell' && <FailureLine failure={run.failure} isError={run.end === 'failed'} />}
    </div>
  );
}

/** Draws only the calls and the console, for views that show the head and the error themselves. */
export function Calls({ model, trans }: Pick<TimelineProps, 'model' | 'trans'>): React.ReactElement | null {
  const { run } = model;
  if (run === null || (run.rows.length === 0 && run.lines.length === 0 && run.check === null)) {
    return null;
  }
  return (
    <div className={classOf(run, model.life)} role="group" aria-label={trans.__('Timeline of the run')}>
      <Rows run={run} model={model} trans={trans} />
      {run.lines.length > 0 && <Console run={run} trans={trans} />}
    </div>
  );
}

function classOf(run: TracedRun, life: Life): string {
  return `pctx-Timeline pctx-is-${run.state === 'running' && life === 'cut' ? 'cut' : run.state}`;
}

function Headline({ run, life, trans }: { run: TracedRun; life: Life; trans: TranslationBundle }): React.ReactElement {
  const count = run.callsInAll;
  const end = endText(run.end, run.askedBy, trans, { life, waitedS: waitedS(run.refusal) });
  const tools = run.tools.slice(0, NAMED);
  const others = run.tools.length - tools.length + run.toolsLeft;
  // A map and not an object: a file may contain the name of an inherited member.
  const askers = new Map([
    ['agent', trans.__('requested by an agent')],
    ['notebook', trans.__('requested by another notebook')]
  ]);
  return (
    <>
      <span>{trans._n('%2 call', '%2 calls', count, count.toLocaleString())}</span>
      {tools.map((tool, index) => (
        <span key={index} className="pctx-Timeline-tool" title={inertLine(tool.name, 200)}>
          {toolText(tool, run, trans)}
        </span>
      ))}
      {others > 0 && <span>{trans._n('%1 more tool', '%1 more tools', others)}</span>}
      {run.failedCalls > 0 && (
        <span className="pctx-Timeline-wrong">{trans.__('%1 failed', run.failedCalls.toLocaleString())}</span>
      )}
      {run.refusedCalls > 0 && (
        <span className="pctx-Timeline-ended">{trans.__('%1 denied', run.refusedCalls.toLocaleString())}</span>
      )}
      <span>{duration(run.durationS)}</span>
      {end !== '' && (
        <span className={endClass(run.end)} aria-live="polite">
          {end}
        </span>
      )}
      {askers.has(run.askedBy) && <span>{askers.get(run.askedBy)}</span>}
    </>
  );
}

/** `utcOffset 624 (mean 11 ms, up to 64 at once)`. */
function toolText(tool: CallTotals, run: TracedRun, trans: TranslationBundle): string {
  const short = tool.name.slice(tool.name.lastIndexOf('.') + 1);
  const isClear = !run.tools.some(other => other !== tool && other.name.endsWith(`.${short}`));
  const named = inertLine(isClear ? short : tool.name, 60);
  const counted = run.tools.length > 1 ? `${named} ${tool.count.toLocaleString()}` : named;
  const about = [
    tool.count > 1 && tool.meanS !== null ? trans.__('mean %1', duration(tool.meanS)) : '',
    tool.most > 1 ? trans.__('up to %1 at once', tool.most) : ''
  ].filter(part => part !== '');
  return about.length > 0 ? `${counted} (${about.join(', ')})` : counted;
}

/** How a run ended, in words; of a run that ended well, nothing. */
export function endText(
  end: RunEnd,
  askedBy: string,
  trans: TranslationBundle,
  more: { life: Life; waitedS?: number }
): string {
  switch (end) {
    case 'ok':
      return '';
    case 'running':
      return more.life === 'cut' ? cutText(trans) : more.life === 'alive' ? trans.__('running …') : '…';
    case 'failed':
      return trans.__('failed');
    case 'stopped':
      return trans.__('stopped');
    case 'person':
      return trans.__('stopped by you');
    case 'caller':
      return askedBy === 'cell'
        ? trans.__('stopped by you')
        : askedBy === 'agent'
          ? trans.__('stopped by the agent')
          : trans.__('stopped by its caller');
    case 'limit':
      return trans.__('stopped at a limit');
    case 'sandbox':
      return trans.__('cut off · its sandbox ended');
    case 'kernel':
      return cutText(trans);
    case 'connection':
      return trans.__('cut off · the connection was lost');
    case 'denied':
    case 'unanswered':
    case 'forbidden':
      return decisionText(end, trans, more.waitedS);
  }
}

function cutText(trans: TranslationBundle): string {
  return trans.__('cut off · the kernel was restarted');
}

function endClass(end: RunEnd): string {
  return end === 'failed' ? 'pctx-Timeline-wrong' : end === 'running' ? 'pctx-Timeline-state' : 'pctx-Timeline-ended';
}

/** Seconds that a call waited for a person; 0: it did not. */
function waitedS(row: TimelineRow | null): number {
  const waiting = row?.phases.find(({ kind }) => kind === 'person');
  return waiting ? waiting.toS - waiting.fromS : 0;
}

/** The whole run in small: how many calls work, and where one failed. */
function Overview({ run }: { run: TracedRun }): React.ReactElement {
  return (
    <svg className="pctx-Timeline-overview" width={OVERVIEW} height={12} aria-hidden="true">
      <Strip run={run} rows={run.rows} columns={OVERVIEW} height={12} />
    </svg>
  );
}

interface StripProps {
  run: TracedRun;
  rows: readonly TimelineRow[];
  columns: number;
  height: number;
}

function Strip({ run, rows, columns, height }: StripProps): React.ReactElement {
  const counted = density(run, rows, columns);
  const most = Math.max(1, ...counted.working);
  const heights = counted.working.map(count => (count > 0 ? height * (0.4 + (0.6 * count) / most) : 0));
  const waits = counted.waiting.map((count, at) => (count > 0 && !counted.working[at] ? height * 0.4 : 0));
  return (
    <>
      <path className="pctx-Timeline-working" d={columnsPath(heights, height)} />
      <path className="pctx-Timeline-waiting" d={columnsPath(waits, height)} />
      <path
        className="pctx-Timeline-failing"
        d={columnsPath(
          counted.failed.map(isFailed => (isFailed ? height : 0)),
          height,
          2
        )}
      />
    </>
  );
}

/** Columns that stand on the ground; neighbours of one height are one. */
function columnsPath(heights: readonly number[], ground: number, least = 1): string {
  let path = '';
  for (let from = 0; from < heights.length;) {
    const height = heights[from] ?? 0;
    let end = from + 1;
    while (end < heights.length && heights[end] === height) {
      end++;
    }
    if (height > 0) {
      const width = Math.max(least, end - from);
      path += `M${Math.min(from, heights.length - width)} ${ground}v-${height.toFixed(2)}h${width}V${ground}z`;
    }
    from = end;
  }
  return path;
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
  const left = run.callsInAll - run.rows.length - run.groups.reduce((sum, group) => sum + group.left, 0);
  const onKeyDown = (event: React.KeyboardEvent<HTMLElement>) => {
    if (model.move(event.key)) {
      event.preventDefault();
      const list = event.currentTarget;
      const { current } = model;
      // Rows that the key has added are drawn first.
      requestAnimationFrame(() => {
        list.querySelectorAll<HTMLElement>('.pctx-Timeline-row')[current]?.focus();
      });
    }
  };
  const spanS = run.durationS - run.zeroS;
  const every = step(run);
  return (
    <div
      className="pctx-Timeline-rows"
      style={{ '--pctx-step': every > 0 ? percent(every / spanS) : '100%' } as React.CSSProperties}
      onKeyDown={onKeyDown}
      onScroll={event => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        if (scrollTop + clientHeight > scrollHeight - NEAR_PX) {
          model.more();
        }
      }}
    >
      <Scale run={run} trans={trans} />
      <ul>
        {model.rows.map((row, index) => (
          <li key={index}>
            {row.group ? (
              <GroupLine run={run} row={row} group={row.group} model={model} index={index} trans={trans} />
            ) : (
              <>
                <CallLine run={run} row={row} call={row.call} model={model} index={index} trans={trans} />
                {model.isOpen(row.call) && <Details row={row.call} trans={trans} />}
              </>
            )}
          </li>
        ))}
      </ul>
      {model.hasMore && (
        <button
          type="button"
          className="pctx-Timeline-act"
          data-lm-suppress-shortcuts="true"
          onClick={() => {
            model.more();
          }}
        >
          {trans.__('Show more')}
        </button>
      )}
      {left > 0 && (
        <div className="pctx-Timeline-quiet">
          {trans._n('%2 more call', '%2 more calls', left, left.toLocaleString())}
        </div>
      )}
    </div>
  );
}

interface LineProps {
  run: TracedRun;
  row: ListRow;
  model: TimelineModel;
  index: number;
  trans: TranslationBundle;
}

function GroupLine({ run, row, group, model, index, trans }: LineProps & { group: CallGroup }): React.ReactElement {
  const name = inertLine(group.name, 200);
  const count = group.rows.length + group.left;
  const ended = group.rows.filter(one => !one.isUnderWay);
  const meanS = ended.reduce((sum, one) => sum + one.endedS - one.beganS, 0) / Math.max(1, ended.length);
  const took = ended.length > 0 ? trans.__('mean %1', duration(meanS)) : '…';
  const failed = group.rows.filter(one => one.error !== null && !one.isRefused).length;
  const refused = group.rows.filter(one => one.isRefused).length;
  const said = [
    failed > 0 ? trans.__('%1 failed', failed.toLocaleString()) : '',
    refused > 0 ? trans.__('%1 denied', refused.toLocaleString()) : ''
  ].filter(part => part !== '');
  const [first] = group.rows;
  const title = trans.__('started %1', duration(Math.max(0, (first?.beganS ?? 0) - run.zeroS)));
  const end = Math.max(...group.rows.map(one => one.endedS));
  return (
    <button
      type="button"
      className={`pctx-Timeline-row pctx-is-group${failed > 0 ? ' pctx-is-failed' : ''}`}
      data-lm-suppress-shortcuts="true"
      aria-expanded={model.isGroupOpen(group)}
      aria-label={[`${name} × ${count.toLocaleString()}`, took, ...said].join(', ')}
      tabIndex={index === model.current ? 0 : -1}
      title={`${name} × ${count.toLocaleString()}: ${title}, ${took}`}
      onClick={() => {
        model.toggle(row);
      }}
    >
      <span className="pctx-Timeline-name">
        <span className="pctx-Timeline-caret" aria-hidden="true" />
        <Callee name={name} /> <span className="pctx-Timeline-count">× {count.toLocaleString()}</span>
      </span>{' '}
      <span className="pctx-Timeline-track">
        <svg viewBox={`0 0 ${STRIP} 10`} preserveAspectRatio="none" aria-hidden="true">
          <Strip run={run} rows={group.rows} columns={STRIP} height={10} />
        </svg>
        {group.left > 0 && (
          <span className="pctx-Timeline-bar pctx-is-left" style={place(run, end, Math.max(end, group.leftUntilS))} />
        )}
      </span>
      <span className="pctx-Timeline-took">{took}</span>{' '}
      {said.length > 0 && <span className="pctx-Timeline-said">{said.join(' · ')}</span>}
    </button>
  );
}

function CallLine({ run, row, call, model, index, trans }: LineProps & { call: TimelineRow }): React.ReactElement {
  const isCut = call.isCut || (call.isUnderWay && model.life === 'cut');
  const name = inertLine(call.name, 200);
  const argument = inertLine(call.argument, 60);
  const tookS = duration(call.endedS - call.beganS);
  const took = isCut ? trans.__('cut off') : call.isUnderWay ? '…' : tookS;
  const said = saidOf(call, trans);
  const kind = call.isRefused
    ? 'refused'
    : call.error !== null
      ? 'failed'
      : isCut
        ? 'cut'
        : call.isUnderWay
          ? 'underWay'
          : 'done';
  const states = {
    refused: '',
    failed: trans.__('failed'),
    cut: '',
    underWay: trans.__('running'),
    done: ''
  };
  const startedS = duration(Math.max(0, call.beganS - run.zeroS));
  const title = call.isUnderWay ? trans.__('started %1', startedS) : trans.__('started %1, took %2', startedS, tookS);
  const isMember = row.group === null && row.isMember;
  return (
    <button
      type="button"
      className={`pctx-Timeline-row pctx-is-${kind}${isMember ? ' pctx-is-member' : ''}`}
      data-lm-suppress-shortcuts="true" // arrow keys move in the list; otherwise the notebook would select other cells
      aria-expanded={model.isOpen(call)}
      aria-label={[name, argument, took, said, states[kind]].filter(part => part !== '').join(', ')}
      tabIndex={index === model.current ? 0 : -1}
      title={title}
      onClick={() => {
        model.toggle(row);
      }}
    >
      <span className="pctx-Timeline-name">
        <Callee name={name} /> {argument !== '' && <span className="pctx-Timeline-argument">{argument}</span>}
      </span>{' '}
      <span className="pctx-Timeline-track">
        {call.phases.map((phase, at) => (
          <span
            key={at}
            className={`pctx-Timeline-bar pctx-is-${phase.kind}`}
            style={place(run, phase.fromS, phase.toS)}
          />
        ))}
      </span>
      <span className="pctx-Timeline-took">{took}</span>{' '}
      {said !== '' && <span className="pctx-Timeline-said">{said}</span>}
    </button>
  );
}

/** The name of a tool in two parts, of which the namespace gives way first. */
function Callee({ name }: { name: string }): React.ReactElement {
  const at = name.lastIndexOf('.') + 1;
  return (
    <>
      <span className="pctx-Timeline-space">{name.slice(0, at)}</span>
      <span className="pctx-Timeline-callee">{name.slice(at)}</span>
    </>
  );
}

/** Where a bar is on its track; the shortest one is still seen at its end. */
function place(run: TracedRun, fromS: number, toS: number): React.CSSProperties {
  const from = share(run, fromS);
  return { left: `min(${percent(from)}, calc(100% - 2px))`, width: percent(share(run, toS) - from) };
}

function Details({ row, trans }: { row: TimelineRow; trans: TranslationBundle }): React.ReactElement {
  const names = { arguments: trans.__('Arguments'), result: trans.__('Result') };
  const told = row.error ?? '';
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
          aria-label={row.isRefused ? trans.__('Decision') : trans.__('Error')}
          className={row.isRefused ? '' : 'pctx-Timeline-wrong'}
        >
          {inert(told)}
        </pre>
      )}
      {row.parts.length === 0 && told === '' && (
        <div className="pctx-Timeline-quiet">{trans.__('No details of this call were kept.')}</div>
      )}
    </div>
  );
}

/** The share of a run after which the text of a tick stands before it. */
const LATE = 0.85;

/** The scale above the rows: the type check, and the times after its end. */
function Scale({ run, trans }: { run: TracedRun; trans: TranslationBundle }): React.ReactElement {
  const spanS = run.durationS - run.zeroS;
  return (
    <div className="pctx-Timeline-scale">
      <span className="pctx-Timeline-check">{run.check && <Check check={run.check} trans={trans} />}</span>
      <span className="pctx-Timeline-track" aria-hidden="true">
        {ticks(run).map(at => (
          <span
            key={at}
            className={at / spanS > LATE ? 'pctx-Timeline-tick pctx-is-late' : 'pctx-Timeline-tick'}
            style={{ left: percent(at / spanS) }}
          >
            {duration(at)}
          </span>
        ))}
      </span>
    </div>
  );
}

function Check({ check, trans }: { check: TypeCheck; trans: TranslationBundle }): React.ReactElement {
  const mark = { passed: '✓', failed: '✕', unchecked: '–' }[check.outcome];
  const names = {
    passed: trans.__('Type check: no errors'),
    failed: trans.__('Type check: errors'),
    unchecked: trans.__('No type check')
  };
  const took = duration(check.durationS);
  const name = [names[check.outcome], took, inertLine(check.message, 400)].filter(part => part !== '').join(', ');
  return (
    <span role="img" aria-label={name} title={name} className={check.outcome === 'failed' ? 'pctx-Timeline-wrong' : ''}>
      {mark} {took}
    </span>
  );
}

function Console({ run, trans }: { run: TracedRun; trans: TranslationBundle }): React.ReactElement {
  const count = run.lines.length;
  return (
    <details className="pctx-Timeline-console">
      <summary data-lm-suppress-shortcuts="true">
        {trans.__('Console')}
        <span className="pctx-Timeline-quiet">
          {trans._n('%2 line', '%2 lines', count, count.toLocaleString())}
          {run.areLinesCut ? ` ${trans.__('and more')}` : ''}
        </span>
        <span className="pctx-Timeline-track" aria-hidden="true">
          {run.lines.map((line, index) => (
            <span
              key={index}
              className={`pctx-Timeline-mark pctx-is-${line.level}`}
              style={{ left: `min(${percent(share(run, line.atS))}, calc(100% - 2px))` }}
            />
          ))}
        </span>
      </summary>
      {run.lines.map((line, index) => (
        <ConsoleLine key={index} line={line} trans={trans} />
      ))}
    </details>
  );
}

/** The error in a line, for a run without an output of its own for the error: a cell shows the error below its timeline. */
function FailureLine({ failure, isError }: { failure: RunFailure; isError: boolean }): React.ReactElement {
  const said = [failure.name, failure.message].filter(part => part !== '').join(': ');
  return (
    <div className="pctx-Timeline-failure">
      <span className={isError ? 'pctx-Timeline-wrong' : 'pctx-Timeline-quiet'}>{inertLine(said)}</span>
    </div>
  );
}

/** The decision on a call, and what delays it or delayed it to the end. */
function saidOf(row: TimelineRow, trans: TranslationBundle): string {
  return [decisionText(row.decision, trans, waitedS(row)), inertLine(row.note, 200)]
    .filter(part => part !== '')
    .join(' · ');
}

/**
 * The text for a decision of `approvals.py`.
 *
 * @param waitedS Seconds that the call waited for an answer; 0: that is not known.
 */
export function decisionText(decision: string, trans: TranslationBundle, waitedS = 0): string {
  switch (decision) {
    case 'allowed':
      return trans.__('allowed');
    case 'edited':
      return trans.__('allowed as changed');
    case 'granted':
      return trans.__('allowed before');
    case 'denied':
      return trans.__('denied by you');
    case 'unanswered':
      return waitedS >= 1 ? trans.__('not answered in %1', wait(waitedS)) : trans.__('not answered');
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

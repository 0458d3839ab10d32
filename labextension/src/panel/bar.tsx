/** Draws the bar under a notebook's toolbar: the guest programs that called its tools. It holds no state. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ExecutionState } from '../api';
import { askerOf } from '../approvals/effects';
import type { Activity } from './activity';
import { EndMark } from './endMark';
import { askerName, isOfNotebook } from './names';
import type { DrawNotebook } from './notebookLink';
import { minute } from './words';

/** The actions of the bar. */
export interface BarActions {
  /** Show a run with its calls. */
  show: (run: ExecutionState) => void;
  /** Insert a run's program into the notebook. */
  insert: (run: ExecutionState) => void;
  stop: (run: ExecutionState) => void;
  /** Close the line of an owner, until that owner runs another program. */
  close: (activity: Activity) => void;
}

interface BarProps {
  activities: readonly Activity[];
  /** Draws the notebooks of guests. */
  draw: DrawNotebook;
  actions: BarActions;
  trans: TranslationBundle;
}

export function Bar({ activities, draw, actions, trans }: BarProps): React.ReactElement {
  return (
    <>
      {activities.map(activity => (
        <Line key={activity.key} activity={activity} draw={draw} actions={actions} trans={trans} />
      ))}
    </>
  );
}

function Line(props: { activity: Activity } & Omit<BarProps, 'activities'>): React.ReactElement {
  const { activity, draw, actions, trans } = props;
  const [last] = activity.runs;
  const running = activity.runs.find(run => run.state === 'running');
  const text = activityText(activity, trans);
  return (
    <div className="pctx-Bar-line" role="group" aria-label={text}>
      <EndMark run={running ?? last} trans={trans} />
      <bdi className="pctx-Bar-text" title={text}>
        {text}
      </bdi>
      {isOfNotebook(last) && draw(last)}
      {running && (
        <button
          className="pctx-Bar-button"
          onClick={() => {
            actions.stop(running);
          }}
        >
          {trans.__('Stop')}
        </button>
      )}
      <button
        className="pctx-Bar-button"
        title={trans.__('Show the latest program and its calls')}
        onClick={() => {
          actions.show(last);
        }}
      >
        {trans.__('Show')}
      </button>
      <button
        className="pctx-Bar-button pctx-mod-insert"
        title={trans.__('Insert the latest program below the current cell')}
        onClick={() => {
          actions.insert(last);
        }}
      >
        {trans.__('Insert as cell')}
      </button>
      <button
        className="pctx-Bar-button"
        title={trans.__('Close')}
        aria-label={trans.__('Close')}
        onClick={() => {
          actions.close(activity);
        }}
      >
        ×
      </button>
    </div>
  );
}

/** What an owner's programs did in a notebook, as one sentence and figures. */
export function activityText({ runs, calls, isCut }: Activity, trans: TranslationBundle): string {
  const [last] = runs;
  const who = isOfNotebook(last) ? askerName(last, trans) : askerOf(last, trans);
  const failed = runs.filter(run => run.state === 'failed').length;
  return [
    runs.some(run => run.state === 'running')
      ? trans.__('%1 is running a program here', who)
      : isCut
        ? trans._n('%2 ran at least %1 program here', '%2 ran at least %1 programs here', runs.length, who)
        : trans._n('%2 ran %1 program here', '%2 ran %1 programs here', runs.length, who),
    isCut
      ? trans._n('at least %2 call', 'at least %2 calls', calls, calls.toLocaleString())
      : trans._n('%2 call', '%2 calls', calls, calls.toLocaleString()),
    failed > 0 ? trans._n('%1 failed', '%1 failed', failed) : '',
    minute(last.started_at)
  ]
    .filter(Boolean)
    .join(' · ');
}

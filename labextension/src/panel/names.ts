/** Names in the panel: of sections, states and ends, of who asks and who may call. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { ExecutionState, Permission, Sharing } from '../api';
import { inertLine } from '../inert';
import { decisionText, endText } from '../results/timeline';
import type { Emptiness, Novelty, RunFilter, Section } from './rows';

export function filterName(filter: RunFilter, trans: TranslationBundle): string {
  switch (filter) {
    case 'all':
      return trans.__('all');
    case 'failed':
      return trans.__('failed');
    case 'agents':
      return trans.__('agents');
  }
}

export function sectionName(section: Section, trans: TranslationBundle): string {
  switch (section) {
    case 'questions':
      return trans.__('Waiting for you');
    case 'permissions':
      return trans.__('Allowed without asking');
    case 'notebooks':
      return trans.__('Notebooks');
    case 'handles':
      return trans.__('Handles');
    case 'servers':
      return trans.__('MCP servers');
    case 'runs':
      return trans.__('Runs');
  }
}

export function emptyText(why: Emptiness, of: Section, trans: TranslationBundle): string {
  switch (why) {
    case 'loading':
      return trans.__('…');
    case 'no-match':
      return trans.__('Nothing found');
    case 'no-tools':
      return trans.__('No tools yet');
    case 'disconnected':
      return trans.__('Not connected');
    case 'untrusted':
      return trans.__('Not started. Select the server to trust it.');
    case 'none':
      return of === 'notebooks'
        ? trans.__('No notebook has loaded pctx')
        : of === 'servers'
          ? trans.__('No server added')
          : trans.__('Nothing has run yet');
  }
}

export function noveltyName(novelty: NonNullable<Novelty>, trans: TranslationBundle): string {
  return novelty === 'new' ? trans.__('new') : trans.__('changed');
}

export function shareName(to: Sharing, trans: TranslationBundle): string {
  return to === 'nobody' ? trans.__('private') : to === 'everyone' ? trans.__('shared') : '';
}

export function shareText(to: Sharing, isService: boolean, trans: TranslationBundle): string {
  switch (to) {
    case 'nobody':
      return isService ? trans.__('nobody else') : trans.__('only this notebook');
    case 'agents':
      return trans.__('agents');
    case 'everyone':
      return trans.__('agents and notebooks');
  }
}

export function stateName(state: ExecutionState['state'], trans: TranslationBundle): string {
  switch (state) {
    case 'running':
      return trans.__('running');
    case 'ok':
      return trans.__('done');
    case 'failed':
      return trans.__('failed');
    case 'stopped':
      return trans.__('stopped');
  }
}

/** How a run ended; a decision of a person says more than its state. */
export function endName(run: ExecutionState, trans: TranslationBundle): string {
  if (run.refused) {
    return decisionText(run.refused, trans);
  }
  return run.stopped_by ? endText(run.stopped_by, run.asked_by, trans, { life: 'alive' }) : stateName(run.state, trans);
}

/** Whose programs may call a tool without asking, and since when. */
export function permissionText(permission: Permission, trans: TranslationBundle): string {
  const callers = permission.asked_by.map(by => {
    switch (by) {
      case 'agent':
        return trans.__('agents');
      case 'cell':
        return trans.__('cells');
      case 'client':
        return trans.__('clients');
      case 'notebook':
        return trans.__('other notebooks');
      default:
        return trans.__('everybody');
    }
  });
  const since = permission.since ? trans.__('since %1', new Date(permission.since * 1000).toLocaleString()) : '';
  return [callers.join(', '), since].filter(Boolean).join(' · ');
}

/** Whether a program is a cell's, of this notebook or of another one. */
export function isOfNotebook({ asked_by: by }: Pick<ExecutionState, 'asked_by'>): boolean {
  return by === 'cell' || by === 'notebook';
}

export function askerName(run: ExecutionState, trans: TranslationBundle): string {
  const notebook = run.notebook && inertLine(run.notebook);
  switch (run.asked_by) {
    case 'agent':
      return run.agent ? inertLine(run.agent, 40) : trans.__('Agent');
    case 'cell':
    case 'notebook':
      return notebook ?? trans.__('Notebook');
    case 'client':
      return trans.__('Client');
  }
}

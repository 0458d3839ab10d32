/** Texts on who calls a tool, and on whether the tool changes something outside. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Question } from '../api';
import { inertLine } from '../inert';

/** Who asks: an agent by the name that its client gives itself. */
export function askerOf(question: Pick<Question, 'asked_by' | 'agent'>, trans: TranslationBundle): string {
  switch (question.asked_by) {
    case 'agent':
      return question.agent ? inertLine(question.agent, 40) : trans.__('An agent');
    case 'cell':
      return trans.__('A cell');
    case 'notebook':
      return trans.__('Another notebook');
    default:
      return trans.__('A client');
  }
}

/** What is asked: to answer an MCP server, or to allow a call, with what it passes if that is given. */
export function requestText(question: Question, trans: TranslationBundle, given = ''): string {
  if (question.form) {
    return trans.__('The MCP server %1 asks you something', inertLine(question.form.server, 100));
  }
  const asker = askerOf(question, trans);
  const tool = inertLine(question.tool, 60);
  return given === ''
    ? trans.__('%1 wants to call %2', asker, tool)
    : trans.__('%1 wants to call %2 with %3', asker, tool, given);
}

/** A sentence about a tool's effects; empty if it has none. `null`: they are unknown. */
export function effectsText(effects: boolean | null, trans: TranslationBundle): string {
  if (effects === null) {
    return trans.__('It does not say whether it changes something.');
  }
  return effects ? trans.__('It changes something outside.') : '';
}

/** A short label about a tool's effects, shown beside its name. */
export function effectsMark(effects: boolean | null, trans: TranslationBundle): string {
  if (effects === null) {
    return trans.__('effects unknown');
  }
  return effects ? trans.__('effects') : '';
}

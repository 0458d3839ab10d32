/** Draws a call that waits for consent. It holds no state. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Question } from '../api';
import { Code } from '../code';
import { inert, inertLine, whole } from '../inert';
import { effectsText } from './effects';
import { type Drafts, linesOf } from './model';

/** Called with a person's decision. */
export type Decide = (question: Question, decision: 'allow' | 'deny', always?: boolean) => void;

interface QuestionProps {
  question: Question;
  drafts: Drafts;
  decide: Decide;
  trans: TranslationBundle;
}

/** Scroll the line that calls into sight, when it is first drawn. */
function reveal(line: HTMLElement | null): void {
  const code = line?.parentElement;
  if (line && code) {
    code.scrollTop = line.offsetTop - code.clientHeight / 2;
  }
}

/** How long "always" lasts. */
function alwaysText(question: Question, trans: TranslationBundle): string {
  return question.lasts === 'tool'
    ? trans.__('Without asking again, also after a restart, until the tool changes')
    : trans.__('Without asking again, until the kernel of its notebook, or the server, ends');
}

export function QuestionDetail({ question, drafts, decide, trans }: QuestionProps): React.ReactElement {
  const edited = drafts.edited(question);
  const isWrong = edited === undefined;
  const lines = linesOf(question);
  return (
    <section className="pctx-Detail pctx-mod-question" aria-label={trans.__('Call that waits for consent')}>
      <h3>
        {question.asked_by === 'agent' ? trans.__('An agent asks to call') : trans.__('A program asks to call')}{' '}
        <bdi>{inertLine(question.tool)}</bdi>
      </h3>
      {question.description && (
        <p dir="auto" className="pctx-Detail-text">
          {inert(question.description, 1000)}
        </p>
      )}
      {question.effects !== false && question.effects !== undefined && (
        <p className="pctx-Detail-quiet">{effectsText(question.effects, trans)}</p>
      )}
      <label className="pctx-Detail-field">
        {question.is_cut ? trans.__('The beginning of its arguments') : trans.__('Its arguments, which you may change')}
        <textarea
          className="pctx-Arguments"
          rows={Math.min(12, Math.max(3, drafts.text(question).split('\n').length))}
          spellCheck={false}
          readOnly={question.is_cut}
          aria-invalid={isWrong}
          value={drafts.text(question)}
          onChange={event => {
            drafts.write(question, event.target.value);
          }}
        />
      </label>
      {isWrong && (
        <p className="pctx-Detail-error" role="status">
          {trans.__('This is not a JSON object.')}
        </p>
      )}
      <div className="pctx-Detail-buttons">
        <button
          className="jp-mod-styled jp-mod-accept"
          disabled={isWrong}
          onClick={() => {
            decide(question, 'allow');
          }}
        >
          {typeof edited === 'string' ? trans.__('Allow as changed') : trans.__('Allow once')}
        </button>
        <button
          className="jp-mod-styled"
          disabled={isWrong}
          title={alwaysText(question, trans)}
          onClick={() => {
            decide(question, 'allow', true);
          }}
        >
          {trans.__('Always allow')}
        </button>
        <button
          className="jp-mod-styled jp-mod-warn"
          onClick={() => {
            decide(question, 'deny');
          }}
        >
          {trans.__('Deny')}
        </button>
      </div>
      {question.code_cut && (
        <p className="pctx-Detail-warning" role="note">
          {trans.__(
            'This is not all of the program: it is too long to be shown. Here are lines %1 to %2.',
            lines[0]?.number,
            lines.at(-1)?.number
          )}
        </p>
      )}
      <Code key={question.id} label={trans.__('Program')}>
        {lines.map(({ number, text, isCalling }) =>
          isCalling ? (
            <mark key={number} ref={reveal}>{`${whole(text)}\n`}</mark>
          ) : (
            <React.Fragment key={number}>{`${whole(text)}\n`}</React.Fragment>
          )
        )}
      </Code>
    </section>
  );
}

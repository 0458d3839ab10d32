/** Draws a call that waits for consent. It holds no state. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { AskedForm, Question } from '../api';
import { Code } from '../code';
import { inert, inertLine, whole } from '../inert';
import { askerOf, effectsText } from './effects';
import { type Drafts, clock, linesOf } from './model';

/** Called with a person's decision. */
export type Decide = (question: Question, decision: 'allow' | 'deny', always?: boolean) => void;

interface QuestionProps {
  question: Question;
  drafts: Drafts;
  decide: Decide;
  trans: TranslationBundle;
  /** How many calls wait besides. */
  more: number;
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

function titleOf(question: Question, trans: TranslationBundle): string {
  if (question.form) {
    return trans.__('The MCP server %1 asks you something, for a call of', inertLine(question.form.server));
  }
  return trans.__('asks to call');
}

/** What an MCP server asks: its words, the schema of the answer, and a page as a text that is no link. */
function FormText({ form, trans }: { form: AskedForm; trans: TranslationBundle }): React.ReactElement {
  return (
    <>
      <p dir="auto" className="pctx-Detail-text">
        {inert(form.message, 4000)}
      </p>
      {form.url !== undefined && (
        <p className="pctx-Detail-warning" role="note">
          {trans.__('It asks you to open this page. Look at its host first:')} <code>{whole(form.url)}</code>
        </p>
      )}
      {form.secrets && form.secrets.length > 0 && (
        <p className="pctx-Detail-warning" role="note">
          {trans.__(
            '%1 looks like a secret. MCP servers must not ask for secrets here, and the server gets what you type.',
            inertLine(form.secrets.join(', '))
          )}
        </p>
      )}
      {form.schema && (
        <Code key={form.message} label={trans.__('Fields')}>
          {whole(JSON.stringify(form.schema, null, 2))}
        </Code>
      )}
    </>
  );
}

export function QuestionDetail({ question, drafts, decide, trans, more }: QuestionProps): React.ReactElement {
  const edited = drafts.edited(question);
  const problems = drafts.problems(question);
  const isWrong = !drafts.canAllow(question);
  const form = question.form;
  const lines = linesOf(question);
  const left = drafts.deadlines.left(question.id);
  return (
    <section
      className="pctx-Detail pctx-mod-question"
      aria-label={trans.__('Call that waits for consent')}
      tabIndex={-1}
      onKeyDown={event => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          event.stopPropagation(); // the notebook would run a cell
          if (!isWrong) {
            decide(question, 'allow');
          }
        }
      }}
    >
      <h3>
        {!form && <bdi>{askerOf(question, trans)}</bdi>} {titleOf(question, trans)}{' '}
        <bdi>{inertLine(question.tool)}</bdi>
      </h3>
      {left !== null && (
        <p className="pctx-Left" role="timer">
          <span className="pctx-Left-bar" aria-hidden="true">
            <span style={{ width: `${Math.round(drafts.deadlines.part(question.id) * 100)}%` }} />
          </span>
          {form ? trans.__('%1 left, then cancelled', clock(left)) : trans.__('%1 left, then denied', clock(left))}
          {more > 0 && ` · ${trans._n('%1 more waits', '%1 more wait', more)}`}
        </p>
      )}
      {form && <FormText form={form} trans={trans} />}
      {!form && question.description && (
        <p dir="auto" className="pctx-Detail-text">
          {inert(question.description, 1000)}
        </p>
      )}
      {!form && question.effects !== false && question.effects !== undefined && (
        <p className="pctx-Detail-quiet">{effectsText(question.effects, trans)}</p>
      )}
      <label className="pctx-Detail-field">
        {form
          ? trans.__('Your answer')
          : question.is_cut
            ? trans.__('The beginning of its arguments')
            : trans.__('Its arguments, which you may change')}
        <textarea
          className="pctx-Arguments"
          rows={Math.min(12, Math.max(3, drafts.text(question).split('\n').length))}
          spellCheck={false}
          readOnly={question.is_cut || form?.url !== undefined}
          aria-invalid={isWrong}
          aria-describedby={isWrong ? 'pctx-problems' : undefined}
          value={drafts.text(question)}
          onChange={event => {
            drafts.write(question, event.target.value);
          }}
        />
      </label>
      {isWrong && (
        <div id="pctx-problems" className="pctx-Detail-error" role="status">
          <ul className="pctx-Problems">
            {problems.map((problem, index) => (
              <li key={index}>
                {edited === undefined ? (
                  trans.__('Not valid JSON: %1', inertLine(problem.message, 200))
                ) : (
                  <>
                    {problem.field && <bdi className="pctx-mod-code">{inertLine(problem.field, 200)}</bdi>}{' '}
                    {inertLine(problem.message, 300)}
                  </>
                )}
              </li>
            ))}
          </ul>
        </div>
      )}
      <div className="pctx-Detail-buttons">
        <button
          className="jp-mod-styled jp-mod-accept"
          disabled={isWrong}
          title={trans.__('Ctrl Enter')}
          onClick={() => {
            decide(question, 'allow');
          }}
        >
          {form
            ? trans.__('Answer')
            : typeof edited === 'string'
              ? trans.__('Allow as changed')
              : trans.__('Allow once')}
        </button>
        {!form && (
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
        )}
        <button
          className="jp-mod-styled jp-mod-warn"
          onClick={() => {
            decide(question, 'deny');
          }}
        >
          {form ? trans.__('Decline') : trans.__('Deny')}
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

/** Draws a call that waits for consent. It holds no state. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ArgumentProblem, AskedForm, ConsentSpan, Question } from '../api';
import { Code } from '../code';
import { inert, inertLine, whole } from '../inert';
import { askerOf, effectsText } from './effects';
import { Control } from './control';
import type { FormField } from './fields';
import { type Drafts, clock, linesOf } from './model';

/** Called with a person's decision. */
export type Decide = (question: Question, decision: 'allow' | 'deny', howLong?: ConsentSpan) => void;

interface QuestionProps {
  question: Question;
  drafts: Drafts;
  decide: Decide;
  trans: TranslationBundle;
  /** How many calls wait besides. */
  more: number;
  /** The notebook that asks, or whose tool it is, as a link. */
  notebook: React.ReactNode;
}

/** Scroll the line that calls into sight, when it is first drawn. */
function reveal(line: HTMLElement | null): void {
  const code = line?.parentElement;
  if (line && code) {
    code.scrollTop = line.offsetTop - code.clientHeight / 2;
  }
}

/** A link that also allows later calls. */
function alwaysText(question: Question, trans: TranslationBundle): string {
  const tool = inertLine(question.tool, 60);
  return question.lasts === 'tool'
    ? trans.__('Allow %1 until the tool changes', tool)
    : trans.__('Allow %1 until its kernel restarts', tool);
}

/** What an MCP server asks: its words, and a page as a text that is no link. */
function FormText({ form, trans }: { form: AskedForm; trans: TranslationBundle }): React.ReactElement {
  return (
    <>
      <p dir="auto" className="pctx-Detail-text">
        {inert(form.message, 4000)}
      </p>
      {form.url !== undefined && (
        <p className="pctx-Detail-warning" role="note">
          {trans.__('It asks you to open this page. Check the host first:')} <code>{whole(form.url)}</code>
        </p>
      )}
      {form.secrets && form.secrets.length > 0 && (
        <p className="pctx-Detail-warning" role="note">
          {trans.__(
            '%1 looks like a secret, and the server receives what you type. MCP servers must not ask for secrets here.',
            inertLine(form.secrets.join(', '))
          )}
        </p>
      )}
    </>
  );
}

/** Whether a problem is about a field, or a part of it. */
function isAbout(problem: ArgumentProblem, name: string): boolean {
  const { field } = problem;
  return field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`);
}

interface ArgumentsProps {
  question: Question;
  drafts: Drafts;
  trans: TranslationBundle;
}

/** The arguments as a form, or as JSON. */
function Arguments({ question, drafts, trans }: ArgumentsProps): React.ReactElement | null {
  const fields = drafts.fields(question);
  const problems = drafts.problems(question);
  const rest = fields ? problems.filter(one => !fields.some(field => isAbout(one, field.name))) : problems;
  if (question.form && !question.form.schema) {
    return null; // there is nothing to fill in
  }
  return (
    <>
      <p className="pctx-Fields-title" id="pctx-arguments">
        {question.form
          ? trans.__('Your answer')
          : question.is_cut
            ? trans.__('The beginning of the arguments')
            : trans.__('Arguments (you can edit them)')}
      </p>
      {fields === null ? (
        <textarea
          className="pctx-Arguments"
          rows={Math.min(12, Math.max(3, drafts.text(question).split('\n').length))}
          spellCheck={false}
          readOnly={question.is_cut}
          aria-labelledby="pctx-arguments"
          aria-invalid={problems.length > 0}
          aria-describedby={problems.length > 0 ? 'pctx-problems' : undefined}
          value={drafts.text(question)}
          onChange={event => {
            drafts.write(question, event.target.value);
          }}
        />
      ) : (
        <div className="pctx-Fields" role="group" aria-labelledby="pctx-arguments">
          {fields.map((field, index) => (
            <Field
              key={field.name}
              id={`pctx-field-${index}`}
              field={field}
              json={drafts.value(question, field)}
              problems={problems.filter(one => isAbout(one, field.name))}
              isTouched={drafts.isTouched(question, field)}
              fill={text => {
                drafts.fill(question, field, text);
              }}
              trans={trans}
            />
          ))}
          {fields.length === 0 && <p className="pctx-Detail-quiet">{trans.__('No arguments')}</p>}
        </div>
      )}
      {rest.length > 0 && (
        <div id="pctx-problems" className="pctx-Detail-error" role="status">
          <ul className="pctx-Problems">
            {rest.map((problem, index) => (
              <li key={index}>
                {drafts.edited(question) === undefined ? (
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
      {drafts.canSwitch(question) && (
        <p>
          <button
            className="pctx-Link"
            onClick={() => {
              drafts.switch(question);
            }}
          >
            {fields ? trans.__('Edit as JSON') : trans.__('Edit in a form')}
          </button>
        </p>
      )}
    </>
  );
}

interface FieldProps {
  id: string;
  field: FormField;
  json: string | undefined;
  problems: readonly ArgumentProblem[];
  /** Whether a problem is a person's mistake, and not a field that is still to be filled in. */
  isTouched: boolean;
  fill: (text: string) => void;
  trans: TranslationBundle;
}

function Field({ id, field, json, problems, isTouched, fill, trans }: FieldProps): React.ReactElement {
  const about = [field.description ? `${id}-about` : '', problems.length > 0 ? `${id}-problem` : ''].filter(Boolean);
  return (
    <div className="pctx-Field">
      <label htmlFor={id} id={`${id}-label`}>
        <bdi>{field.label}</bdi>
        {field.isRequired && <span className="pctx-Row-quiet"> {trans.__('required')}</span>}
      </label>
      <Control
        id={id}
        field={field}
        json={json}
        isWrong={problems.length > 0 && isTouched}
        about={about.join(' ') || undefined}
        fill={fill}
        trans={trans}
      />
      {problems.length > 0 && (
        <p
          id={`${id}-problem`}
          className={isTouched ? 'pctx-Detail-error' : 'pctx-Detail-quiet'}
          role={isTouched ? 'status' : undefined}
        >
          {problems
            .map(problem => `${inertLine(problem.field, 200)} ${inertLine(problem.message, 300)}`.trim())
            .join('; ')}
        </p>
      )}
      {field.description && (
        <p id={`${id}-about`} className="pctx-Detail-quiet" dir="auto">
          {field.description}
        </p>
      )}
    </div>
  );
}

export function QuestionDetail({ question, drafts, decide, trans, more, notebook }: QuestionProps): React.ReactElement {
  const edited = drafts.edited(question);
  const isWrong = !drafts.canAllow(question);
  const form = question.form;
  const lines = linesOf(question);
  const left = drafts.deadlines.left(question.id);
  const effects = form || question.effects === undefined ? '' : effectsText(question.effects, trans);
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
        {form ? (
          trans.__('The MCP server %1 asks you something, for a call of', inertLine(form.server))
        ) : (
          <>
            <bdi>{askerOf(question, trans)}</bdi> {trans.__('wants to call')}
          </>
        )}{' '}
        <bdi>{inertLine(question.tool)}</bdi>
      </h3>
      {left !== null && (
        <p className="pctx-Left" role="timer">
          <span className="pctx-Left-bar" aria-hidden="true">
            <span style={{ width: `${Math.round(drafts.deadlines.part(question.id) * 100)}%` }} />
          </span>
          {form ? trans.__('%1 left, then cancelled', clock(left)) : trans.__('%1 left, then denied', clock(left))}
          {more > 0 && ` · ${trans._n('%1 more waiting', '%1 more waiting', more)}`}
        </p>
      )}
      {form && <FormText form={form} trans={trans} />}
      {!form && question.description && (
        <p dir="auto" className="pctx-Detail-text">
          {inert(question.description, 1000)}
        </p>
      )}
      {(effects || notebook) && (
        <p className="pctx-Detail-quiet">
          {effects}
          {effects && notebook && ' · '}
          {notebook}
        </p>
      )}
      <Arguments question={question} drafts={drafts} trans={trans} />
      <div className="pctx-Detail-buttons">
        <button
          className="jp-mod-styled jp-mod-accept"
          disabled={isWrong}
          title={trans.__('Ctrl+Enter')}
          onClick={() => {
            decide(question, 'allow');
          }}
        >
          {form ? trans.__('Answer') : typeof edited === 'string' ? trans.__('Allow as changed') : trans.__('Allow')}
        </button>
        <button
          className="jp-mod-styled jp-mod-warn"
          onClick={() => {
            decide(question, 'deny');
          }}
        >
          {form ? trans.__('Decline') : trans.__('Deny')}
        </button>
      </div>
      {!form && (
        <p className="pctx-Links">
          <button
            className="pctx-Link"
            disabled={isWrong}
            onClick={() => {
              decide(question, 'allow', 'program');
            }}
          >
            {trans.__('Allow %1 for this program', inertLine(question.tool, 60))}
          </button>
          <button
            className="pctx-Link"
            disabled={isWrong}
            onClick={() => {
              decide(question, 'allow', 'always');
            }}
          >
            {alwaysText(question, trans)}
          </button>
        </p>
      )}
      {question.code_cut && (
        <p className="pctx-Detail-warning" role="note">
          {trans.__(
            'The program is too long to be shown whole. These are its lines %1 to %2.',
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

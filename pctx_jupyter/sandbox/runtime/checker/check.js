// @ts-check
/**
 * The check of a program, and its outline without one.
 */

import { answer } from "./answers.js";
import { certainly, errors, inJSX, mayBeIdiom } from "./findings.js";
import { habits } from "./habits.js";
import { declare, outline, parse, recordAtTheEnd, unexported, withParentheses } from "./outline.js";
import { promises } from "./promises.js";
import { open, PLAIN, TYPED } from "./sessions.js";

/** Diagnostics an answer holds. */
const MAX_FOUND = 10;

/** Of these, syntax errors: further ones mostly follow from the first. */
const MAX_SYNTAX = 3;

/**
 * What is wrong with a program, in the order of its text, what it may be warned of, and its outline.
 *
 * @param {any} params `keep`: whether its author asked to keep its whole top level; null: only what it exports
 */
export function check(params) {
  const session = open(params.session), { code } = params;
  // Its text with parentheses is what the service knows of it, and may have checked already.
  let record = session.ended?.code === code ? session.ended.record : undefined;
  const service = session.update(record === undefined ? params : { ...params, code: withParentheses(code, record) });
  let syntax = service.getSyntacticDiagnostics(TYPED);
  let program = service.getProgram(), source = program.getSourceFile(TYPED);
  if (record === undefined) {
    record = recordAtTheEnd(source, syntax.length === 0);
    session.ended = record === undefined ? undefined : { code, record };
    if (record !== undefined) {
      session.update({ code: withParentheses(code, record) });
      syntax = service.getSyntacticDiagnostics(TYPED);
      program = service.getProgram();
      source = program.getSourceFile(TYPED);
    }
  }
  if (record !== undefined) params = { ...params, code: withParentheses(code, record) };
  if (syntax.length > 0) return answer(program, source, inJSX(source) ?? syntax, MAX_SYNTAX);
  const shape = outline(source, record);
  const names = params.keep === undefined ? undefined : unexported(shape, params.keep);
  const kept = names === undefined ? undefined : declare(session, params.code, names);
  if (kept !== undefined) {
    session.update(params);
    program = service.getProgram();
    source = program.getSourceFile(TYPED);
  }
  let found = errors(service, TYPED, source);
  const checker = program.getTypeChecker(), read = source;
  if (found.some((d) => mayBeIdiom(checker, read, d))) {
    const plain = session.asJavaScript();
    if (plain !== undefined) {
      program = plain.getProgram();
      source = program.getSourceFile(PLAIN);
      found = [...found.filter(certainly(program.getTypeChecker(), source)), ...errors(plain, PLAIN, source)];
    }
  }
  const forgotten = promises(program.getTypeChecker(), source)
    .filter((p) => !found.some((d) => d.start <= p.start && p.start < d.start + d.length));
  const wrong = answer(program, source, [...found, ...forgotten], MAX_FOUND, record);
  const odd = answer(program, source, habits(program.getTypeChecker(), source), MAX_FOUND, record);
  return { ...wrong, found: [...wrong.found, ...odd.found], outline: shape, kept };
}

/** The outline of a program; none where it has a syntax error. @param {any} params */
export function read({ code }) {
  const source = parse(code), isValid = source.parseDiagnostics.length === 0;
  const record = recordAtTheEnd(source, isValid);
  if (record === undefined) return isValid ? [outline(source)] : [];
  return [outline(parse(withParentheses(code, record)), record)];
}

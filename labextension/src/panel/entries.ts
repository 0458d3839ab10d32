/** Parses what a person types or pastes about MCP servers that are to be added. Pure functions. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { UpstreamEntry } from '../api';
import { inertLine } from '../inert';
import { jsonProblem } from '../json';

/** What a person has typed. */
export interface ServerForm {
  /** A URL, or a command with its arguments. */
  where: string;
  /** JSON with `mcpServers`, in place of all the rest. */
  json: string;
  name: string;
  /** Headers of a URL (`Name: value`) or environment of a command (`NAME=value`), one a line. */
  extra: string;
}

/** What the address of a form is. */
export type AddressKind = 'url' | 'command';

export function kindOf(where: string): AddressKind {
  return /^[a-z][a-z\d+.-]*:\/\//i.test(where.trim()) ? 'url' : 'command';
}

/** A text that cannot be parsed; the message is for a person. */
export class Unreadable extends Error {}

/**
 * Split a command into words, as a shell does: quotes group, and a backslash takes the meaning of a quote, of a space and
 * of a backslash before one of them. Other backslashes stay, because paths of Windows have them.
 *
 * @throws Unreadable A quote is not closed.
 */
export function wordsOfCommand(text: string, trans: TranslationBundle): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const one = text.charAt(at);
    const next = text.charAt(at + 1);
    if (one === '\\' && quote !== "'" && next !== '' && (quote ? next === quote : /["'\s]/.test(next))) {
      word = (word ?? '') + next;
      at++;
    } else if (quote) {
      if (one === quote) {
        quote = '';
      } else {
        word = (word ?? '') + one;
      }
    } else if (one === '"' || one === "'") {
      quote = one;
      word ??= '';
    } else if (/\s/.test(one)) {
      if (word !== null) {
        words.push(word);
        word = null;
      }
    } else {
      word = (word ?? '') + one;
    }
  }
  if (quote) {
    throw new Unreadable(
      trans.__('This quotation mark is not closed: %1', inertLine(text.slice(text.lastIndexOf(quote)), 60))
    );
  }
  return word === null ? words : [...words, word];
}

/**
 * The servers of a form.
 *
 * @throws Unreadable Something is missing or cannot be parsed.
 */
export function entriesOf(form: ServerForm, trans: TranslationBundle): UpstreamEntry[] {
  const where = form.where.trim();
  // JSON that is pasted into the first field is meant for the other one.
  const json = form.json.trim() || (where.startsWith('{') ? where : '');
  if (json) {
    return entriesOfJson(json, trans);
  }
  if (!where) {
    throw new Unreadable(trans.__('Type a URL, or the command that starts the server.'));
  }
  const kind = kindOf(where);
  const name = form.name.trim() || nameOf(where, trans);
  if (kind === 'url') {
    if (!/^https?:$/.test(protocolOf(where))) {
      throw new Unreadable(trans.__('Not a web address: %1', inertLine(where, 100)));
    }
    const headers = pairsOf(form.extra, /^([^:\s]+)\s*:\s*(.*)$/, trans.__('Name: value'), trans);
    return [{ name, url: where, ...(headers && { headers }) }];
  }
  const [command, ...args] = wordsOfCommand(where, trans);
  if (!command) {
    throw new Unreadable(trans.__('The command is empty.'));
  }
  const env = pairsOf(form.extra, /^([^=\s]+)=(.*)$/, trans.__('NAME=value'), trans);
  return [{ name, command, args, ...(env && { env }) }];
}

function protocolOf(url: string): string {
  try {
    return new URL(url).protocol;
  } catch {
    return '';
  }
}

function pairsOf(
  text: string,
  form: RegExp,
  shown: string,
  trans: TranslationBundle
): Record<string, string> | undefined {
  const pairs: [string, string][] = [];
  for (const line of text.split('\n').map(one => one.trim())) {
    if (!line) {
      continue;
    }
    const found = form.exec(line);
    if (!found) {
      throw new Unreadable(trans.__('Cannot read the line %1: it must be %2', inertLine(line, 60), shown));
    }
    pairs.push([found[1] ?? '', found[2] ?? '']);
  }
  return pairs.length > 0 ? Object.fromEntries(pairs) : undefined;
}

function entriesOfJson(text: string, trans: TranslationBundle): UpstreamEntry[] {
  const problem = jsonProblem(text);
  if (problem !== null) {
    throw new Unreadable(trans.__('Not valid JSON: %1', problem));
  }
  const value: unknown = JSON.parse(text);
  const isObject = (one: unknown): one is Record<string, unknown> =>
    typeof one === 'object' && one !== null && !Array.isArray(one);
  const named = isObject(value) ? (value.mcpServers ?? value.servers ?? value) : null;
  const entries: UpstreamEntry[] = isObject(named)
    ? Object.entries(named).flatMap(([name, entry]) => (isObject(entry) ? [{ ...entry, name }] : []))
    : [];
  if (entries.length === 0) {
    throw new Unreadable(
      trans.__('The JSON names no server. It must be like {"mcpServers": {"name": {"command": "…"}}}')
    );
  }
  return entries;
}

/** Suggest a name: the last word of a command that is not an option, or the host of a URL. */
export function nameOf(where: string, trans: TranslationBundle): string {
  const text = where.trim();
  let known = '';
  if (kindOf(text) === 'url') {
    known = /^https?:\/\/([^/:?#]+)/i.exec(text)?.[1]?.split('.').at(-2) ?? '';
  } else if (kindOf(text) === 'command') {
    try {
      const words = wordsOfCommand(text, trans).filter(word => !word.startsWith('-'));
      known = (words.at(words.length > 1 ? 1 : 0) ?? '').split('/').at(-1) ?? '';
    } catch {
      known = '';
    }
    known = known.replace(/^mcp[-_]server[-_]/, '');
  }
  return known.replace(/[^\p{L}\p{N}]+/gu, '_').replace(/^_+|_+$/g, '') || 'server';
}

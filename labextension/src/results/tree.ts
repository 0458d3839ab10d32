/** A value as a tree: its nodes, their previews, paths and text. Never touches the DOM. */

import { VDomModel } from '@jupyterlab/ui-components';

/** See `pctx_jupyter/kernel/output/branches.py`. */
export const MIME = 'application/vnd.pctx.tree+json';

export type ValuePath = (string | number)[];

/** One value of the tree. */
export interface TreeNode {
  /** Its key or index; null: it is the root. */
  key: string | number | null;
  path: ValuePath;
  value: unknown;
  /** How many items or characters it has in all. */
  size: number;
  /** Whether only some of its items or characters are in `value`. */
  isCut: boolean;
  /** The text of a number that JavaScript does not have. */
  text: string | null;
}

/** A piece of a value's text, and what it is. */
export interface Token {
  kind: 'key' | 'string' | 'number' | 'word' | 'quiet';
  text: string;
}

/** Gets a part of a whole value from the kernel, as JSON. */
export type LoadValue = (id: string, path: ValuePath) => Promise<unknown>;

/** Items of a node that are drawn at first, and with each further step. */
export const STEP = 100;
/** Characters of a preview. */
const PREVIEW = 80;
/** Levels that are drawn. */
export const DEEPEST = 60;

export class TreeModel extends VDomModel {
  #root: TreeNode | null = null;
  #texts = new Map<string, string>();
  #cut = new Map<string, number>();
  #id = '';
  #open = new Map<string, boolean>();
  #steps = new Map<string, number>();
  readonly #load: LoadValue | null;

  /** @param load Gets parts of whole values from the kernel; null: there is no kernel. */
  constructor(load: LoadValue | null = null) {
    super();
    this.#load = load;
  }

  /** The root; null: the data is not a tree. */
  get root(): TreeNode | null {
    return this.#root;
  }

  set json(json: unknown) {
    const given = (json ?? {}) as Record<'value' | 'texts' | 'cut' | 'id', unknown>;
    this.#texts = new Map(notes(given.texts, (note): note is string => typeof note === 'string'));
    this.#cut = new Map(notes(given.cut, (note): note is number => typeof note === 'number' && note >= 0));
    this.#id = typeof given.id === 'string' ? given.id : '';
    this.#open.clear();
    this.#steps.clear();
    this.#root = hasParts(given.value) ? this.#node(null, [], given.value) : null;
    this.stateChanged.emit();
  }

  #node(key: string | number | null, path: ValuePath, value: unknown): TreeNode {
    const name = JSON.stringify(path);
    const size = typeof value === 'string' ? value.length : hasParts(value) ? Object.keys(value).length : 0;
    const whole = Math.max(this.#cut.get(name) ?? 0, size);
    return { key, path, value, size: whole, isCut: whole > size, text: this.#texts.get(name) ?? null };
  }

  /** The items of a node that are drawn. */
  parts(node: TreeNode): TreeNode[] {
    if (!hasParts(node.value)) {
      return [];
    }
    const most = STEP * (this.#steps.get(JSON.stringify(node.path)) ?? 1);
    const isList = Array.isArray(node.value);
    return Object.entries(node.value)
      .slice(0, most)
      .map(([key, value]) => {
        const found = isList ? Number(key) : key;
        return this.#node(found, [...node.path, found], value);
      });
  }

  /** Draw more items of a node. */
  step(node: TreeNode): void {
    const name = JSON.stringify(node.path);
    this.#steps.set(name, (this.#steps.get(name) ?? 1) + 1);
    this.stateChanged.emit();
  }

  /** Whether a node is unfolded: at first the root is, and below it nodes with few parts that do not fit on a line. */
  isOpen(node: TreeNode): boolean {
    const depth = node.path.length;
    return (
      this.#open.get(JSON.stringify(node.path)) ??
      (depth === 0 || (depth === 1 && node.size <= 10 && !this.preview(node).isWhole))
    );
  }

  toggle(node: TreeNode): void {
    this.#open.set(JSON.stringify(node.path), !this.isOpen(node));
    this.stateChanged.emit();
  }

  /** The beginning of a value on one line, and whether that is all of it. */
  preview(node: TreeNode, room = PREVIEW): { tokens: Token[]; isWhole: boolean } {
    const tokens: Token[] = [];
    let left = room;
    const put = (kind: Token['kind'], text: string): boolean => {
      left -= text.length;
      tokens.push({ kind, text });
      return left > 0;
    };
    const write = (one: TreeNode): boolean => {
      if (!hasParts(one.value)) {
        const [token] = leaf(one, Math.max(1, left));
        return token ? put(token.kind, token.text) && !one.isCut : true;
      }
      const isList = Array.isArray(one.value);
      if (!put('quiet', isList ? '[' : '{')) {
        return false;
      }
      for (const [index, part] of this.parts(one).entries()) {
        if (index > 0 && !put('quiet', ', ')) {
          return false;
        }
        if (!isList && (!put('key', label(part.key)) || !put('quiet', ': '))) {
          return false;
        }
        if (!write(part)) {
          return false;
        }
      }
      return !one.isCut && this.parts(one).length === one.size && (put('quiet', isList ? ']' : '}') || left === 0);
    };
    const isWhole = write(node);
    if (!isWhole) {
      tokens.push({ kind: 'quiet', text: ' …' });
    }
    return { tokens, isWhole };
  }

  /** Whether anything of a node or below it is left out. */
  isPart(node: TreeNode): boolean {
    const begin = JSON.stringify(node.path).slice(0, -1);
    return [...this.#cut.keys()].some(
      path => path === `${begin}]` || path.startsWith(node.path.length > 0 ? `${begin},` : begin)
    );
  }

  /**
   * The text of a value, to be copied: JSON, or the text itself. The kernel has what the file lacks.
   *
   * @throws The file has only a part of it, and the kernel cannot be asked or has it no longer.
   */
  async copied(node: TreeNode): Promise<string> {
    if (!this.isPart(node)) {
      return typeof node.value === 'string' ? node.value : this.#written(node, '');
    }
    if (this.#id === '' || this.#load === null) {
      throw new Error('Cannot copy the value: the notebook has only a part of it');
    }
    const found = (await this.#load(this.#id, node.path)) as { text?: unknown } | null;
    if (typeof found?.text !== 'string') {
      throw new Error('Cannot copy the value: the kernel has not sent it');
    }
    return found.text;
  }

  #written(node: TreeNode, indent: string): string {
    if (!hasParts(node.value)) {
      return node.text ?? JSON.stringify(node.value);
    }
    const isList = Array.isArray(node.value);
    const inner = `${indent}  `;
    const parts = Object.entries(node.value).map(([key, value]) => {
      const part = isList ? Number(key) : key;
      const text = this.#written(this.#node(part, [...node.path, part], value), inner);
      return `${inner}${isList ? '' : `${JSON.stringify(key)}: `}${text}`;
    });
    const [opening, closing] = isList ? ['[', ']'] : ['{', '}'];
    return parts.length === 0 ? `${opening}${closing}` : `${opening}\n${parts.join(',\n')}\n${indent}${closing}`;
  }
}

/** A path as both TypeScript and Python write it behind the name of the value: `["orders"][0]`. */
export function pathText(path: ValuePath): string {
  return path.map(part => `[${JSON.stringify(part)}]`).join('');
}

/** A value without parts. */
export function leaf(node: TreeNode, most = 1000): Token[] {
  const { value } = node;
  if (node.text !== null) {
    return [{ kind: 'number', text: node.text }];
  }
  if (typeof value === 'string') {
    const text = JSON.stringify(value.length > most ? value.slice(0, most) : value);
    const more: Token[] =
      node.isCut || value.length > most
        ? [{ kind: 'quiet', text: `… (${node.size.toLocaleString()} characters)` }]
        : [];
    return [{ kind: 'string', text }, ...more];
  }
  return [{ kind: typeof value === 'number' ? 'number' : 'word', text: JSON.stringify(value) }];
}

export function label(key: string | number | null): string {
  return typeof key === 'string' && !/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? JSON.stringify(key) : String(key ?? '');
}

export function hasParts(value: unknown): value is Record<string, unknown> | unknown[] {
  return typeof value === 'object' && value !== null;
}

/** Read notes on paths: a list of pairs. They come from a notebook's file, so their shape is checked. */
function notes<T>(given: unknown, isNote: (note: unknown) => note is T): [string, T][] {
  return (Array.isArray(given) ? given : []).flatMap((one: unknown): [string, T][] =>
    Array.isArray(one) && Array.isArray(one[0]) && isNote(one[1]) ? [[JSON.stringify(one[0]), one[1]]] : []
  );
}

/** Makes text for a notebook: calls of tools, and programs as cells. Pure functions. */

import type { KernelState, ToolState } from '../api';
import { argumentsOf } from '../cells/fields';

/** A text to insert; `cursor` is where the cursor then belongs. */
export interface Insertion {
  readonly text: string;
  readonly cursor: number;
  /** The end of the text from `from` on is the argument of a call, which has to have these names. */
  readonly call?: { readonly from: number; readonly names: readonly string[] };
}

/** The name by which a notebook's programs call a tool; null: they may not. A tool without an owner is an MCP server's. */
export function nameFor(tool: ToolState, owner: KernelState | null, kernelId: string | null): string | null {
  if (owner === null || owner.kernel_id === kernelId) {
    return tool.path;
  }
  return owner.sharing === 'everyone' ? tool.shared_as : null;
}

/** A call of a tool, with its required arguments to fill in. */
export function callOf(name: string, tool: ToolState): Insertion {
  const method = tool.path.slice(tool.path.lastIndexOf('.') + 1);
  const before = `await ${name}`;
  if (tool.signature.startsWith(`${method}(args?:`)) {
    const text = `${before}()`;
    return { text, cursor: text.length };
  }
  if (tool.arguments.length === 0) {
    const text = `${before}({  })`;
    return { text, cursor: text.length - ' })'.length };
  }
  const cursor = before.length + argumentsOf(tool.arguments, '\0').indexOf('\0');
  return {
    text: before + argumentsOf(tool.arguments, ''),
    cursor,
    call: { from: before.length, names: tool.arguments }
  };
}

/** A program as the text of a cell. */
export function cellOf(code: string): string {
  let end = code.length;
  while (code[end - 1] === '\n') {
    end--; // a regular expression would take quadratic time for many empty lines
  }
  return `%%pctx\n${code.slice(0, end)}`;
}

/** The lines that make a function a tool. */
export const EXAMPLE_LINES = '@tool\ndef greet(name: str) -> str:\n    return f"Hello, {name}"';

/** A cell that makes a tool. */
export const EXAMPLE = `from pctx_jupyter import tool\n\n\n${EXAMPLE_LINES}`;

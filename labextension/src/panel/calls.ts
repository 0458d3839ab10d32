/** Makes text for a notebook: calls of tools, and programs as cells. Pure functions. */

import type { KernelState, ToolState } from '../api';

/** A text to insert; `cursor` is where the cursor then belongs. */
export interface Insertion {
  readonly text: string;
  readonly cursor: number;
}

/** The name by which a notebook's programs call a tool; null: they may not. A tool without an owner is an MCP server's. */
export function nameFor(tool: ToolState, owner: KernelState | null, kernelId: string | null): string | null {
  if (owner === null || owner.kernel_id === kernelId) {
    return tool.path;
  }
  return owner.sharing === 'everyone' ? tool.shared_as : null;
}

/** A call of a tool; its arguments are for the user to fill in. */
export function callOf(name: string, tool: ToolState): Insertion {
  const method = tool.path.slice(tool.path.lastIndexOf('.') + 1);
  if (tool.signature.startsWith(`${method}(args?:`)) {
    const text = `await ${name}()`;
    return { text, cursor: text.length };
  }
  const text = `await ${name}({  })`;
  return { text, cursor: text.length - ' })'.length };
}

/** A program as the text of a cell. */
export function cellOf(code: string): string {
  let end = code.length;
  while (code[end - 1] === '\n') {
    end--; // a regular expression would take quadratic time for many empty lines
  }
  return `%%pctx\n${code.slice(0, end)}`;
}

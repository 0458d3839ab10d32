/** What a person can do in the panel with tools and MCP servers. */

import type { HeldHandle, KernelState, ToolState, Upstream } from '../api';

/** What can be done about an MCP server. */
export interface ServerActions {
  addServer: () => void;
  /** Close the details of the chosen row. */
  unchoose: () => void;
  removeServer: (server: Upstream) => void;
  tellServer: (server: Upstream, what: 'reconnect' | 'approve' | 'trust') => void;
  signIn: (server: Upstream) => void;
  /** Allow all of its tools for good, and trust it. */
  allowTools: (server: Upstream) => void;
  /** Take back what was allowed without asking: for one tool, or for all. */
  askAgain: (server: Upstream, tool?: string) => void;
}

/** What can be done about an object that a kernel holds. */
export interface HandleActions {
  forgetHandle: (kernel: string, handle: HeldHandle) => void;
}

/** What can be done about a tool. */
export interface ToolActions extends ServerActions {
  /** Insert a call of it; `kernel` is its owner; null: it is an MCP server's, and all programs may call it. */
  insertCall: (tool: ToolState, kernel: KernelState | null) => void;
}

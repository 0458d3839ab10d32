/** What a person can do in the panel. */

import type { ExecutionState, HeldHandle, KernelState, Permission, Sharing, ToolState, Trace, Upstream } from '../api';
import type { Decide } from '../approvals/view';

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

/** The actions on a run. */
export interface RunActions {
  insertRun: (trace: Trace) => void;
  stop: (run: ExecutionState) => void;
}

/** The actions of the panel. */
export interface Actions extends ToolActions, RunActions, HandleActions {
  /** Open a run as a tab. */
  openRun: (run: ExecutionState) => void;
  share: (kernel: KernelState, to: Sharing) => void;
  copyConfig: () => void;
  retry: () => void;
  /** Insert a cell that makes a tool. */
  insertExample: () => void;
  /** Load pctx in the kernel of the notebook in front. */
  loadPctx: () => void;
  /** Show the notebook of a kernel. */
  openNotebook: (kernel: KernelState) => void;
  /** Give the details a part of the panel's height. */
  divide: (part: number) => void;
  decide: Decide;
  revoke: (permission: Permission) => void;
  /** Go back to the notebook. */
  leave: () => void;
}

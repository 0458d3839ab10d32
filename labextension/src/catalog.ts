/** The token by which the plugin that follows the server says that tools have changed. */

import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

/** Emits when tools may have changed that programs of some notebook can call: a cell is to be checked again. */
export type CatalogChanges = ISignal<unknown, void>;

export const ICatalogChanges = new Token<CatalogChanges>(
  'pctx-jupyter:ICatalogChanges',
  'A signal that tools of notebooks, services or MCP servers may have changed.'
);

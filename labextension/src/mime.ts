/** The list of what draws our MIME types, nothing else: each comes from `results/`. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

import { table, timeline, tree } from './results/renderer';

const extensions: IRenderMime.IExtension[] = [timeline, table, tree];

export default extensions;

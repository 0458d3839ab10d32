/** The list of what draws our MIME types, nothing else: each comes from `results/`. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

const extensions: IRenderMime.IExtension[] = [];

export default extensions;

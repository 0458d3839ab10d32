/**
 * Gets whole values from kernels: a notebook's file has only the beginning of a large one.
 *
 * Renderers do not know the notebook that they are in. The plugin that does sets `wholeValue.load`.
 */

import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';

/** The target of comms; see `pctx_jupyter/kernel/output/whole.py`. */
const TARGET = 'pctx.value';

interface AskedValue {
  id: string;
  path?: (string | number)[];
}

export const wholeValue = {
  /**
   * Get a value from the kernel of the notebook that contains a node.
   *
   * @param node The node of an output.
   * @param asked The value's id. With the path of a part, the answer is the text of that part.
   * @throws The notebook has no kernel, or the kernel does not have the value.
   */
  load: (node: Node, asked: AskedValue): Promise<unknown> =>
    Promise.reject(new Error(`Cannot get value ${asked.id}: ${node.nodeName} is in no notebook`))
};

/** Let values of these notebooks be completed by their kernels. */
export function loadFrom(notebooks: INotebookTracker): void {
  wholeValue.load = async (node, asked) => {
    const kernel = notebooks.find(panel => panel.node.contains(node))?.sessionContext.session?.kernel;
    if (!kernel) {
      throw new Error(`Cannot get value ${asked.id}: its notebook has no kernel`);
    }
    return ask(kernel, asked);
  };
}

/** Ask a kernel for a value. It answers when it is idle. */
function ask(kernel: Kernel.IKernelConnection, asked: AskedValue): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const comm = kernel.createComm(TARGET);
    const stop = () => {
      kernel.statusChanged.disconnect(onStatus);
      kernel.disposed.disconnect(stop);
      reject(new Error(`Cannot get value ${asked.id}: the kernel does not have it`));
    };
    const onStatus = (_: unknown, status: Kernel.Status) => {
      if (['restarting', 'autorestarting', 'dead', 'terminating'].includes(status)) {
        stop();
      }
    };
    comm.onMsg = message => {
      kernel.statusChanged.disconnect(onStatus);
      kernel.disposed.disconnect(stop);
      resolve(message.content.data);
    };
    comm.onClose = stop; // after an answer this does nothing
    kernel.statusChanged.connect(onStatus);
    kernel.disposed.connect(stop);
    comm.open({ ...asked });
  });
}

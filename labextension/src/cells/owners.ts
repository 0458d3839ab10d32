/**
 * Finds the owner of an editor: the notebook or console that it is in, and the kernel that runs there.
 *
 * This module knows JupyterLab's trackers, not the requests about cells. An owner is found by the editor's place in the page.
 * So two views of one notebook are two owners, and an editor that is not shown has none.
 */

import type { ISessionContext } from '@jupyterlab/apputils';
import type { IConsoleTracker } from '@jupyterlab/console';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

/** A notebook or a console. */
export interface Owner extends Widget {
  readonly sessionContext: ISessionContext;
}

/** The id of an owner's kernel, if one runs. */
export function kernelOf(owner: Owner): string | null {
  return owner.sessionContext.session?.kernel?.id ?? null;
}

interface Tracker {
  forEach(visit: (owner: Owner) => void): void;
  find(is: (owner: Owner) => boolean): Owner | undefined;
  widgetAdded: ISignal<unknown, Owner>;
}

/** The notebooks and consoles that are open. */
export class Owners {
  readonly #trackers: Tracker[];
  readonly #changed = new Signal<this, Owner>(this);

  constructor(notebooks: INotebookTracker | null, consoles: IConsoleTracker | null) {
    this.#trackers = [notebooks, consoles].filter(tracker => tracker !== null);
    for (const tracker of this.#trackers) {
      tracker.forEach(owner => {
        this.#follow(owner);
      });
      tracker.widgetAdded.connect((_, owner) => {
        this.#follow(owner);
      });
    }
  }

  /** Emits the owner in which a cell ran or the kernel changed: its tools may have changed. */
  get changed(): ISignal<this, Owner> {
    return this.#changed;
  }

  /** The owner that a node is in. */
  of(node: Node): Owner | null {
    for (const tracker of this.#trackers) {
      const found = tracker.find(owner => owner.node.contains(node));
      if (found) {
        return found;
      }
    }
    return null;
  }

  /** Follow an owner; the signals end with its session. */
  #follow(owner: Owner): void {
    const emit = (): void => {
      this.#changed.emit(owner);
    };
    const onMessage = (_: ISessionContext, message: KernelMessage.IMessage): void => {
      const { header, parent_header: parent } = message;
      const state = (message.content as { execution_state?: Kernel.Status }).execution_state;
      const isOfCell = 'msg_type' in parent && parent.msg_type === 'execute_request';
      if (header.msg_type === 'status' && state === 'idle' && isOfCell) {
        emit();
      }
    };
    owner.sessionContext.iopubMessage.connect(onMessage);
    owner.sessionContext.kernelChanged.connect(emit);
    owner.sessionContext.statusChanged.connect((_, status) => {
      if (status === 'restarting' || status === 'autorestarting' || status === 'dead') {
        emit();
      }
    });
  }
}

/** What each action of the panel does: requests, dialogs and changes of notebooks. Errors are shown. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Dialog, InputDialog, Notification, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import * as api from '../api';
import type { Drafts } from '../approvals/model';
import type { KernelLoading } from '../cells/loading';
import { inert, inertLine } from '../inert';
import type { Actions } from './actions';
import type { BarsActions } from './bars';
import { EXAMPLE, callOf, cellOf, nameFor } from './calls';
import { CommandIDs } from './commands';
import { askForServers } from './dialog';
import { writeSplit } from './divider';
import type { PanelModel } from './model';
import { current, insert, insertCell, kernelId } from './notebook';
import { serverKey } from './rows';
import { questionOf } from './servers';

export function actionsOf(
  app: JupyterFrontEnd,
  model: PanelModel,
  drafts: Drafts,
  loading: KernelLoading,
  tracker: INotebookTracker,
  trans: TranslationBundle
): Actions & { insertInto: BarsActions['insert'] } {
  /** Run an action, and show its error if it fails. */
  const attempt = (title: string, work: () => Promise<void>): void => {
    work().catch((error: unknown) => showErrorMessage(title, error instanceof Error ? inert(error.message, 2000) : ''));
  };
  const notebook = (): ReturnType<typeof current> => {
    const found = current(tracker);
    if (!found) {
      Notification.info(trans.__('Open a notebook first.'), { autoClose: 5000 });
    }
    return found;
  };
  return {
    insertCall: (tool, owner) => {
      const there = notebook();
      if (!there) {
        return;
      }
      const name = nameFor(tool, owner, kernelId(there));
      if (name === null) {
        const message = trans.__('%1 is not shared with other notebooks.', inertLine(tool.path));
        Notification.info(message, { autoClose: 5000 });
        return;
      }
      attempt(trans.__('Cannot insert the call'), () => insert(there, callOf(name, tool)));
    },
    insertRun: trace => {
      const there = notebook();
      if (there) {
        app.shell.activateById(there.id);
        attempt(trans.__('Cannot insert the program'), () => insertCell(there, cellOf(trace.code)));
      }
    },
    openRun: run => {
      void app.commands.execute(CommandIDs.openRun, { id: run.id });
    },
    insertInto: (there, run) => {
      attempt(trans.__('Cannot insert the program'), async () => {
        const trace = await api.trace(run.id);
        if (trace.code_cut) {
          throw new Error(trans.__('The program is too long: only its beginning was kept.'));
        }
        await insertCell(there, cellOf(trace.code));
      });
    },
    stop: run => {
      attempt(trans.__('Cannot stop the program'), () => api.stop(run.id));
    },
    share: (kernel, to) => {
      attempt(trans.__('Cannot change who may call its tools'), async () => {
        model.replace(await api.share(kernel.kernel_id, to));
      });
    },
    copyConfig: () => {
      attempt(trans.__('Cannot connect an MCP client'), () => copyConfig(trans));
    },
    insertExample: () => {
      const there = notebook();
      if (there) {
        app.shell.activateById(there.id);
        attempt(trans.__('Cannot insert the example'), () => insertCell(there, EXAMPLE));
      }
    },
    loadPctx: () => {
      void loading.load();
    },
    openNotebook: kernel => {
      const there = tracker.find(panel => kernelId(panel) === kernel.kernel_id);
      if (there) {
        app.shell.activateById(there.id);
      } else if (kernel.path !== null) {
        const { path } = kernel;
        attempt(trans.__('Cannot open the notebook'), async () => {
          await app.commands.execute('docmanager:open', { path });
        });
      }
    },
    divide: part => {
      model.divide(part);
      if (model.split !== null) {
        writeSplit(model.split);
      }
    },
    retry: () => {
      model.retry();
    },
    decide: (question, decision, howLong) => {
      const edited = decision === 'allow' ? drafts.edited(question) : null;
      if (edited !== undefined) {
        attempt(trans.__('Cannot send your answer'), async () => {
          try {
            await api.answer(question.id, decision, edited, howLong);
          } catch (error) {
            if (!(error instanceof api.ApiError) || error.problems.length === 0) {
              throw error;
            }
            drafts.refuse(question, error.problems); // the call still waits
          }
        });
      }
    },
    forgetHandle: (kernel, handle) => {
      attempt(trans.__('Cannot forget the object'), () => api.forgetHandle(kernel, handle.id));
    },
    revoke: permission => {
      attempt(trans.__('Cannot revoke the permission'), () => api.revoke(permission.id));
    },
    leave: () => {
      const there = current(tracker);
      if (there) {
        app.shell.activateById(there.id);
      }
    },
    addServer: () => {
      attempt(trans.__('Cannot add the server'), () =>
        askForServers(
          {
            add: async ({ entries, persist }) => {
              for (const entry of entries) {
                await api.addUpstream(entry, persist);
                model.open(serverKey(entry.name));
              }
            },
            test: api.testUpstream
          },
          trans
        )
      );
    },
    unchoose: () => {
      model.unchoose();
    },
    removeServer: server => {
      attempt(trans.__('Cannot remove the server'), async () => {
        const name = inertLine(server.name);
        const sure = await showDialog({
          title: trans.__('Remove %1?', name),
          body: trans.__('Programs can no longer call its tools.'),
          buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Remove') })]
        });
        if (sure.button.accept) {
          await api.removeUpstream(server.name);
        }
      });
    },
    tellServer: (server, what) => {
      attempt(trans.__('Cannot change the server'), async () => {
        await api.tellUpstream(server.name, what, server.mark);
      });
    },
    allowTools: server => {
      attempt(trans.__('Cannot allow its tools'), async () => {
        const name = inertLine(server.name);
        const sure = await showDialog({
          title: trans.__('Allow all tools of %1?', name),
          body: trans.__(
            'Agents then call them without asking, also those that change something, until a tool changes.'
          ),
          buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Allow') })]
        });
        if (sure.button.accept) {
          await api.allowTools(server.name, server.mark);
        }
      });
    },
    askAgain: (server, tool) => {
      attempt(trans.__('Cannot revoke the permission'), async () => {
        await api.askAgain(server.name, tool);
      });
    },
    signIn: server => {
      attempt(trans.__('Cannot sign in'), async () => {
        const { url, title, body } = questionOf(server, await api.signIn(server.name), trans);
        const sure = await showDialog({
          title,
          body,
          buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Open the page') })],
          defaultButton: 0
        });
        if (sure.button.accept) {
          // The browser allows it because of the click on the button.
          window.open(url, '_blank', 'noopener,noreferrer');
        }
      });
    }
  };
}

async function copyConfig(trans: TranslationBundle): Promise<void> {
  const clients = await api.clientConfigs();
  const chosen = await InputDialog.getItem({
    title: trans.__('Connect an MCP client'),
    label: trans.__('The configuration contains the token of this server.'),
    items: clients.map(client => client.title),
    okLabel: trans.__('Copy')
  });
  const client = clients.find(one => one.title === chosen.value);
  if (!chosen.button.accept || !client) {
    return;
  }
  Clipboard.copyToSystem(client.text);
  Notification.success(trans.__('%1: copied to the clipboard; %2.', client.title, client.place), {
    autoClose: 8000
  });
}

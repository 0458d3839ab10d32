/** The plugins for the panel, its status bar item, launcher card and commands. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  Clipboard,
  Dialog,
  ICommandPalette,
  InputDialog,
  Notification,
  WidgetTracker,
  showDialog,
  showErrorMessage
} from '@jupyterlab/apputils';
import { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, type TranslationBundle, nullTranslator } from '@jupyterlab/translation';

import * as api from '../api';
import { type CatalogChanges, ICatalogChanges } from '../catalog';
import { pctxIcon } from '../icon';
import { DesktopNotices } from '../approvals/desktop';
import { Drafts } from '../approvals/model';
import { ApprovalNotices } from '../approvals/notices';
import { TitleCount } from '../approvals/title';
import { KernelLoading } from '../cells/loading';
import { inert, inertLine } from '../inert';
import type { Actions } from './actions';
import { EXAMPLE, callOf, cellOf, nameFor } from './calls';
import { type ActivityPlace, Bars, type BarsActions } from './bars';
import { CellNumbers } from './cellNumbers';
import { writeSplit } from './divider';
import { PanelModel } from './model';
import { serverKey } from './rows';
import { RunModel } from './run';
import { RunTab } from './runTab';
import { current, insert, insertCell, kernelId, open } from './notebook';
import { Progress } from './progress';
import { askForServers } from './dialog';
import { questionOf } from './servers';
import { PanelWidget, StatusWidget } from './widget';

export namespace CommandIDs {
  export const insertCell = 'pctx:insert-cell';
  export const newNotebook = 'pctx:new-notebook';
  export const showPanel = 'pctx:show-panel';
  /** With the argument `id`. */
  export const openRun = 'pctx:open-run';
  export const addServer = 'pctx:add-server';
  export const copyConfig = 'pctx:copy-client-config';
}

const ID = 'pctx-jupyter:panel';

const panel: JupyterFrontEndPlugin<CatalogChanges> = {
  id: ID,
  description: 'Kernels and their tools, runs, status, launcher and commands.',
  autoStart: true,
  provides: ICatalogChanges,
  requires: [INotebookTracker],
  optional: [
    ICommandPalette,
    ILauncher,
    IStatusBar,
    ISettingRegistry,
    ITranslator,
    ILayoutRestorer,
    IEditorLanguageRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    statusBar: IStatusBar | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    languages: IEditorLanguageRegistry | null
  ) => {
    const trans = (translator ?? nullTranslator).load('pctx_jupyter');
    const model = new PanelModel(api);
    const drafts = new Drafts(api.checkArguments);
    const loading = new KernelLoading();
    const actions = actionsOf(app, model, drafts, loading, tracker, trans);
    const widget = new PanelWidget(model, drafts, actions, trans);
    app.shell.add(widget, 'left', { rank: 600, type: 'pctx' });
    restorer?.add(widget, widget.id);

    addCommands(app, tracker, actions, widget, trans);
    const runs = new WidgetTracker<RunTab>({ namespace: 'pctx-runs' });
    app.commands.addCommand(CommandIDs.openRun, {
      label: trans.__('Open Run'),
      execute: ({ id }) => {
        if (typeof id === 'string') {
          openRun(id, app, model, runs, { languages, actions, trans });
        }
      }
    });
    void restorer?.restore(runs, {
      command: CommandIDs.openRun,
      args: tab => ({ id: tab.run }),
      name: tab => tab.run
    });
    for (const command of Object.values(CommandIDs).filter(one => one !== CommandIDs.openRun)) {
      palette?.addItem({ command, category: 'pctx' });
    }
    // The launcher's own translation: a different text would be a different category.
    const other = (translator ?? nullTranslator).load('jupyterlab').__('Other');
    launcher?.add({ command: CommandIDs.newNotebook, category: other, rank: 0 });
    const status = new StatusWidget(model, () => void app.commands.execute(CommandIDs.showPanel), trans);
    statusBar?.registerStatusItem('pctx-jupyter:status', {
      item: status,
      align: 'left',
      rank: 100,
      isActive: () => model.connection === 'ready' || model.connection === 'lost',
      activeStateChanged: model.changed
    });

    const reactions = {
      review: (question: api.Question) => {
        model.choose(`question ${question.id}`);
        void app.commands.execute(CommandIDs.showPanel);
      },
      allow: (question: api.Question) => {
        actions.decide(question, 'allow');
      },
      deny: (question: api.Question) => {
        actions.decide(question, 'deny');
      }
    };
    const notices = new ApprovalNotices(trans, reactions, Notification, drafts.deadlines);
    const desktop = new DesktopNotices(
      trans,
      reactions.review,
      'Notification' in window ? window.Notification : undefined,
      () => !document.hasFocus()
    );
    const title = new TitleCount(document);
    const progress = new Progress(trans, actions.stop);
    const showProgress = (): void => {
      progress.update(model.runs, new Set(model.questions.map(question => question.execution)));
    };
    let ticking: number | undefined;
    model.questionsChanged.connect((_, questions) => {
      const wasAnswered = widget.answering !== null && !questions.some(question => question.id === widget.answering);
      drafts.keep(questions);
      notices.update(questions);
      desktop.update(questions);
      title.count(questions.length);
      widget.count(questions.length);
      showProgress();
      if (wasAnswered) {
        widget.answering = null;
        if (questions.length > 0) {
          widget.takeFocus();
        } else {
          widget.giveFocus();
        }
      }
      window.clearInterval(ticking);
      if (questions.length > 0) {
        ticking = window.setInterval(() => {
          drafts.tick();
          notices.tick();
        }, 1000);
      }
    });
    model.runsChanged.connect(showProgress);
    followFront(model, tracker);
    followLoading(model, loading, tracker);
    const bars = new Bars(
      model,
      tracker,
      {
        show: actions.openRun,
        openNotebook: actions.openNotebook,
        stop: actions.stop,
        insert: actions.insertInto
      },
      trans
    );
    if (!settings) {
      bars.place = 'bar';
    }
    void settings?.load(ID).then(loaded => {
      const read = (): void => {
        desktop.isOn = loaded.get('browserNotifications').composite === true;
        progress.afterS = Number(loaded.get('notifyAfter').composite ?? 0);
        bars.place = loaded.get('agentActivity').composite as ActivityPlace;
      };
      loaded.changed.connect(read);
      read();
    });

    const life = new AbortController();
    widget.disposed.connect(() => {
      life.abort();
      progress.dispose();
      title.dispose();
    });
    void app.restored.then(() => {
      model.start(life.signal);
    });
    return model.catalogsChanged;
  }
};

function actionsOf(
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
      attempt(trans.__('Cannot copy the configuration'), () => copyConfig(trans));
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

/** Open a run as a tab, or activate its tab; where there are no tabs, as in Notebook 7, show it in the panel. */
function openRun(
  id: string,
  app: JupyterFrontEnd,
  model: PanelModel,
  tabs: WidgetTracker<RunTab>,
  props: { languages: IEditorLanguageRegistry | null; actions: Actions; trans: TranslationBundle }
): void {
  const tab =
    tabs.find(one => one.run === id) ?? new RunTab({ ...props, model: new RunModel(id, model, { trace: api.trace }) });
  if (!tab.isAttached) {
    app.shell.add(tab, 'main', { mode: 'tab-after', type: 'pctx' });
  }
  if (tab.isAttached) {
    if (!tabs.has(tab)) {
      void tabs.add(tab);
    }
    app.shell.activateById(tab.id);
  } else {
    tab.dispose();
    model.choose(`run ${id}`);
    void app.commands.execute(CommandIDs.showPanel);
  }
}

/** Tell the model which notebook is in front, its kernel, and which cells show runs. */
function followFront(model: PanelModel, tracker: INotebookTracker): void {
  const follow = (): void => {
    model.follow(kernelId(current(tracker)));
  };
  tracker.currentChanged.connect(follow);
  tracker.widgetAdded.connect((_, panel) => {
    panel.sessionContext.kernelChanged.connect(follow);
  });
  const numbers = new Set<CellNumbers>();
  const add = (panel: NotebookPanel): void => {
    const ofCells = new CellNumbers(panel.content);
    numbers.add(ofCells);
    panel.disposed.connect(() => numbers.delete(ofCells));
  };
  tracker.forEach(add);
  tracker.widgetAdded.connect((_, panel) => {
    add(panel);
  });
  const number = (): void => {
    const cells = new Map<string, number>();
    numbers.forEach(one => {
      one.addTo(cells);
    });
    model.number(cells);
  };
  model.runsChanged.connect(number);
  tracker.currentChanged.connect(number);
  NotebookActions.executed.connect(number); // a cell gets its number after its run has ended
  follow();
}

/** Find out whether the kernel of the notebook in front has loaded pctx, when a person sees the panel. */
function followLoading(model: PanelModel, loading: KernelLoading, tracker: INotebookTracker): void {
  const ask = (): void => {
    if (model.isFrontUnknown) {
      void loading.ask();
    }
  };
  const follow = (): void => {
    loading.follow(current(tracker)?.sessionContext.session?.kernel ?? null);
    ask();
  };
  tracker.currentChanged.connect(follow);
  tracker.widgetAdded.connect((_, panel) => {
    const isFront = (): boolean => current(tracker) === panel;
    panel.sessionContext.kernelChanged.connect(() => {
      if (isFront()) {
        follow();
      }
    });
    panel.sessionContext.statusChanged.connect((_, status) => {
      if (isFront() && (status === 'restarting' || status === 'autorestarting')) {
        follow();
      }
    });
  });
  NotebookActions.executed.connect(ask); // the cell may have loaded it
  model.changed.connect(() => {
    if (loading.state === 'unknown') {
      ask();
    }
  });
  loading.changed.connect(() => {
    const { state, error } = loading;
    model.unload(state === 'absent' || state === 'loading' ? { isLoading: state === 'loading', error } : null);
  });
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

function addCommands(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  actions: Actions,
  widget: PanelWidget,
  trans: TranslationBundle
): void {
  const { commands } = app;
  // No '%%' in a translated message: it would become '%'.
  const magic = '%%pctx';
  commands.addCommand(CommandIDs.insertCell, {
    label: trans.__('Insert %1 Cell', magic),
    caption: trans.__('Insert a %1 cell below the current one', magic),
    icon: pctxIcon,
    isEnabled: () => current(tracker) !== null,
    execute: async () => {
      const there = current(tracker);
      if (there) {
        await insertCell(there, cellOf(''));
      }
    }
  });
  commands.addCommand(CommandIDs.newNotebook, {
    label: args => (args.isPalette ? trans.__('New pctx Notebook') : trans.__('pctx Notebook')),
    caption: trans.__('Open a new notebook with a %1 cell', magic),
    icon: pctxIcon,
    execute: args => open(app, tracker, typeof args.cwd === 'string' ? args.cwd : '')
  });
  commands.addCommand(CommandIDs.showPanel, {
    label: trans.__('Show pctx Panel'),
    icon: pctxIcon,
    execute: () => {
      if (widget.isVisible) {
        widget.activate(); // before 7.6, Notebook would hide what is shown
      } else {
        app.shell.activateById(widget.id);
      }
    }
  });
  commands.addCommand(CommandIDs.addServer, {
    label: trans.__('Add MCP Server…'),
    icon: pctxIcon,
    execute: () => {
      actions.addServer();
    }
  });
  commands.addCommand(CommandIDs.copyConfig, {
    label: trans.__('Connect an MCP Client…'),
    icon: pctxIcon,
    execute: () => {
      actions.copyConfig();
    }
  });
}

export default [panel];

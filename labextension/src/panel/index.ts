/** The plugin of the panel, its status bar item, launcher card and commands: it makes the parts and joins them. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification, WidgetTracker } from '@jupyterlab/apputils';
import { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import * as api from '../api';
import { DesktopNotices } from '../approvals/desktop';
import { Drafts } from '../approvals/model';
import { ApprovalNotices } from '../approvals/notices';
import { TitleCount } from '../approvals/title';
import { type CatalogChanges, ICatalogChanges } from '../catalog';
import { KernelLoading } from '../cells/loading';
import { type ActivityPlace, Bars } from './bars';
import { CommandIDs, addCommands, openRun } from './commands';
import { followFront, followLoading } from './front';
import { PanelModel } from './model';
import { actionsOf } from './panelActions';
import { Progress } from './progress';
import type { RunTab } from './runTab';
import { PanelWidget, StatusWidget } from './widget';

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

export default [panel];

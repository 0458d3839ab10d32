/** The commands of the panel: in the palette, in menus, in the launcher, by keys. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { WidgetTracker } from '@jupyterlab/apputils';
import type { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import * as api from '../api';
import { pctxIcon } from '../icon';
import type { Actions } from './actions';
import { cellOf } from './calls';
import type { PanelModel } from './model';
import { current, insertCell, open } from './notebook';
import { RunModel } from './run';
import { RunTab } from './runTab';
import type { PanelWidget } from './widget';

export namespace CommandIDs {
  export const insertCell = 'pctx:insert-cell';
  export const newNotebook = 'pctx:new-notebook';
  export const showPanel = 'pctx:show-panel';
  /** With the argument `id`. */
  export const openRun = 'pctx:open-run';
  export const addServer = 'pctx:add-server';
  export const copyConfig = 'pctx:copy-client-config';
}

export function addCommands(
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

/** Open a run as a tab, or activate its tab; where there are no tabs, as in Notebook 7, show it in the panel. */
export function openRun(
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

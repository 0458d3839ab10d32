/** The plugin for editing `%%pctx` cells in notebooks and consoles; it connects the parts of this folder. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IEditorExtensionRegistry, IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { ICompletionProviderManager } from '@jupyterlab/completer';
import { IConsoleTracker } from '@jupyterlab/console';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import * as api from '../api';
import { type CatalogChanges, ICatalogChanges } from '../catalog';
import { Assistant } from './assistant';
import { addCommands, FIX_PROBLEM, FORMAT_CELL, FORMAT_NOTEBOOK, NEXT_PROBLEM } from './commands';
import { completeWhileTyping, documentationBeside, followAccepted, PctxCompletions, providersOf } from './completion';
import { callFields } from './fields';
import { squiggles } from './diagnostics';
import { typescriptIn } from './explanation';
import { hover } from './hover';
import { addLanguage, PCTX_MIME } from './language';
import { followLoading } from './loadLine';
import { kernelOf, Owners } from './owners';
import { popups } from './popups';
import { CellSettings, SETTINGS_ID } from './settings';
import { signatures } from './signature';
import { follow, mayBePctx } from './tagging';
import { offerLoading } from './unknownMagic';

const cells: JupyterFrontEndPlugin<void> = {
  id: SETTINGS_ID,
  description: 'TypeScript editing of %%pctx cells: colours, completion, help, problems, layout.',
  autoStart: true,
  requires: [IEditorLanguageRegistry, IEditorExtensionRegistry],
  optional: [
    INotebookTracker,
    IConsoleTracker,
    ICompletionProviderManager,
    ISettingRegistry,
    ITranslator,
    ICommandPalette,
    IRenderMimeRegistry,
    ICatalogChanges
  ],
  activate: (
    app: JupyterFrontEnd,
    languages: IEditorLanguageRegistry,
    extensions: IEditorExtensionRegistry,
    notebooks: INotebookTracker | null,
    consoles: IConsoleTracker | null,
    completions: ICompletionProviderManager | null,
    registry: ISettingRegistry | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    rendermime: IRenderMimeRegistry | null,
    catalogs: CatalogChanges | null
  ) => {
    const trans = (translator ?? nullTranslator).load('pctx_jupyter');
    const settings = new CellSettings();
    const owners = new Owners(notebooks, consoles);
    const assistant = new Assistant(api);
    owners.changed.connect((_, owner) => {
      assistant.wake(kernelOf(owner));
    });
    catalogs?.connect(() => {
      assistant.wakeAll();
    });

    // An editor gets these extensions with the language of its cell, so Python cells do not have them.
    addLanguage(languages, [
      hover(assistant, owners, typescriptIn(languages)),
      signatures(assistant, owners, settings),
      squiggles(assistant, owners, catalogs, settings, trans),
      popups(),
      callFields(),
      completions ? completeWhileTyping(completions, owners, settings) : []
    ]);
    extensions.addExtension({
      name: SETTINGS_ID,
      factory: ({ model }) => {
        if (mayBePctx(model)) {
          follow(model);
        }
        return null; // the editor needs nothing more: it reloads its language when the MIME type changes
      }
    });

    if (completions) {
      const ours = new PctxCompletions(
        assistant,
        settings,
        id => {
          completions.invoke(id);
        },
        undefined,
        documentationBeside(completions, settings, registry)
      );
      completions.registerProvider(ours);
      followAccepted(completions, text => {
        ours.accept(text);
      });
      const keepAlone = (): void => {
        ours.keepAlone(providersOf(completions));
      };
      completions.activeProvidersChanged.connect(keepAlone);
      keepAlone();
    }

    // Otherwise the first such cell would wait for the two grammars.
    void app.restored.then(() => languages.getLanguage(PCTX_MIME));

    if (notebooks) {
      const load = followLoading(notebooks, settings, trans);
      if (rendermime) {
        offerLoading(rendermime, notebooks, load, trans);
      }
    }
    addCommands(app.commands, notebooks, consoles, trans);
    for (const command of [FORMAT_CELL, FORMAT_NOTEBOOK, NEXT_PROBLEM, FIX_PROBLEM]) {
      palette?.addItem({ command, category: 'pctx' });
    }
    if (registry) {
      settings.follow(registry).catch((error: unknown) => {
        console.error('pctx: cannot load the settings of cells; the defaults apply', error);
      });
    }
  }
};

export default [cells];

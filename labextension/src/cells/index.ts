/** Editing of `%%pctx` cells, in notebooks and consoles: the plugins. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IEditorExtensionRegistry, IEditorLanguageRegistry } from '@jupyterlab/codemirror';

import { addLanguage } from './language';
import { follow, mayBePctx } from './tagging';

const language: JupyterFrontEndPlugin<void> = {
  id: 'pctx-jupyter:cells-language',
  description: 'TypeScript in %%pctx cells.',
  autoStart: true,
  requires: [IEditorLanguageRegistry, IEditorExtensionRegistry],
  activate: (_: JupyterFrontEnd, languages: IEditorLanguageRegistry, extensions: IEditorExtensionRegistry) => {
    addLanguage(languages);
    extensions.addExtension({
      name: 'pctx-jupyter:cells-language',
      factory: ({ model }) => {
        if (mayBePctx(model)) {
          follow(model);
        }
        return null; // the editor needs nothing more: it reloads its language when the MIME type changes
      }
    });
  }
};

export default [language];

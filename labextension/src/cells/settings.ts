/** The user's settings for `%%pctx` cells (`schema/cells.json`); defaults until they are loaded. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Signal, type ISignal } from '@lumino/signaling';

export const SETTINGS_ID = 'pctx-jupyter:cells';

export class CellSettings {
  /** Which problems are underlined. */
  diagnostics: 'off' | 'errors' | 'all' = 'all';
  /** Whether names are offered while the user types, and not only on Tab. */
  completeWhileTyping = true;
  /** Whether descriptions are shown beside the list of names. */
  showDocumentation = true;
  /** Whether a tool's parameters are shown while the user types a call. */
  showParameters = true;

  /** Whether a kernel loads pctx by itself, for a notebook with `%%pctx` cells. */
  loadExtension = false;

  readonly #changed = new Signal<this, void>(this);

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Follow changes of the settings. */
  async follow(registry: ISettingRegistry): Promise<void> {
    const settings = await registry.load(SETTINGS_ID);
    const read = (): void => {
      const { diagnostics, completeWhileTyping, showDocumentation, showParameters, loadExtension } = settings.composite;
      this.diagnostics = diagnostics as CellSettings['diagnostics'];
      this.completeWhileTyping = completeWhileTyping as boolean;
      this.showDocumentation = showDocumentation as boolean;
      this.showParameters = showParameters as boolean;
      this.loadExtension = loadExtension as boolean;
      this.#changed.emit();
    };
    settings.changed.connect(read);
    read();
  }
}

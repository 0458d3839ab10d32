/**
 * The JupyterLab part of pctx: the list of plugins, nothing else.
 *
 * Each feature is a folder. Its `index.ts` exports the list of its plugins, named `pctx-jupyter:<feature>` or
 * `pctx-jupyter:<feature>-<part>`. Parts that not every front end has (status bar, launcher, …) are optional.
 *
 * - Settings of a feature: `schema/<feature>.json`, loaded under the id `pctx-jupyter:<feature>`.
 * - Styles: `style/<feature>.css`, named in `style/index.css` and `style/index.js`; colours from `base.css`.
 * - Requests: a typed function in `api.ts`, the only module that fetches.
 * - State: a `model.ts` that never touches the DOM; views hold no state.
 * - Tests: `test/<feature>/*.test.ts` mirrors this folder; `tests/browser/` tests the extension in a browser.
 */

import cells from './cells';
import charts from './charts';
import panel from './panel';
import results from './results';

export default [...cells, ...charts, ...panel, ...results];

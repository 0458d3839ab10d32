/**
 * The JupyterLab part of pctx: the list of plugins, nothing else.
 *
 * One folder a feature. Its `index.ts` exports the list of its plugins, named `pctx-jupyter:<feature>` or
 * `pctx-jupyter:<feature>-<part>`; what is not in every front end (status bar, launcher, …) they ask for as optional.
 *
 * - Settings of a feature: `schema/<feature>.json`, loaded under the id `pctx-jupyter:<feature>`.
 * - Styles: `style/<feature>.css`, named in `style/index.css` and `style/index.js`; colours from `base.css`.
 * - Requests: a typed function in `api.ts`, which alone fetches.
 * - What is known lives in a `model.ts` that never touches the DOM; what draws it holds no state.
 * - Tests: `test/<feature>/*.test.ts` mirrors this folder; `tests/browser/` has the whole of it, in a browser.
 */

import cells from './cells';
import charts from './charts';
import panel from './panel';
import results from './results';

export default [...cells, ...charts, ...panel, ...results];

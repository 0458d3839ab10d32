/** The sign of pctx, wherever one is shown. */

import { LabIcon } from '@jupyterlab/ui-components';

import svgstr from '../style/icons/pctx.svg';

export const pctxIcon = new LabIcon({ name: 'pctx-jupyter:pctx', svgstr });

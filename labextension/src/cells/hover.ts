/** Shows the type and the description of the name under the mouse. */

import type { Extension } from '@codemirror/state';
import { hoverTooltip } from '@codemirror/view';

import type { Assistant } from './assistant';
import { explanation, type Colour } from './explanation';
import { kernelOf, type Owners } from './owners';

export function hover(assistant: Assistant, owners: Owners, colour: Colour): Extension {
  return hoverTooltip(
    async (view, position) => {
      const owner = owners.of(view.dom);
      const kernelId = owner && kernelOf(owner);
      if (kernelId === null) {
        return null;
      }
      const { doc } = view.state;
      const answer = await assistant.hover({ source: doc.toString(), offset: position, kernel_id: kernelId });
      if (answer.status !== 'known' || answer.value.text === null || view.state.doc !== doc) {
        return null;
      }
      const { text, documentation, start, end } = answer.value;
      const code =
        documentation && text.endsWith(documentation) ? text.slice(0, -documentation.length).trimEnd() : text;
      return {
        pos: start,
        end: Math.min(end, doc.length),
        above: true,
        create: () => ({ dom: explanation('pctx-Hover', code, documentation, colour) })
      };
    },
    { hideOnChange: true }
  );
}

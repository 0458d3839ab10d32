/** Draws the control of one field of a form. It holds no state. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { whole } from '../inert';
import { type FormField, parsed, shownIn } from './fields';

interface ControlProps {
  id: string;
  field: FormField;
  /** The value as JSON; undefined: it is left out. */
  json: string | undefined;
  isWrong: boolean;
  /** The ids of what explains the field. */
  about: string | undefined;
  fill: (text: string) => void;
  trans: TranslationBundle;
}

export function Control({ id, field, json, isWrong, about, fill, trans }: ControlProps): React.ReactElement {
  const shared = { id, 'aria-invalid': isWrong, 'aria-describedby': about, 'aria-required': field.isRequired };
  const text = shownIn(field, json);
  const onChange = (event: React.ChangeEvent<HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>): void => {
    fill(event.target.value);
  };
  const empty = emptyText(field, json, trans);
  switch (field.kind) {
    case 'text':
    case 'number':
      return (
        <input
          {...shared}
          className="pctx-Control"
          type="text"
          inputMode={field.kind === 'number' ? 'decimal' : undefined}
          spellCheck={false}
          autoComplete="off"
          placeholder={empty}
          value={text}
          onChange={onChange}
        />
      );
    case 'lines':
    case 'json':
      return (
        <textarea
          {...shared}
          className="pctx-Control"
          rows={Math.min(8, Math.max(2, text.split('\n').length))}
          spellCheck={false}
          placeholder={empty}
          value={text}
          onChange={onChange}
        />
      );
    case 'yes':
      return (
        <input
          {...shared}
          type="checkbox"
          checked={json === 'true'}
          onChange={event => {
            fill(String(event.target.checked));
          }}
        />
      );
    case 'choice':
      return (
        <select {...shared} className="pctx-Control" value={text} onChange={onChange}>
          {(!field.isRequired || !field.choices.some(choice => choice.json === text)) && (
            <option value="">{empty}</option>
          )}
          {text !== '' && !field.choices.some(choice => choice.json === text) && (
            <option value={text}>{whole(text)}</option>
          )}
          {field.choices.map(choice => (
            <option key={choice.json} value={choice.json}>
              {choice.label}
            </option>
          ))}
        </select>
      );
    case 'choices':
      return (
        <div role="group" id={id} aria-labelledby={`${id}-label`} aria-describedby={about} className="pctx-Choices">
          {field.choices.map(choice => {
            const chosen = chosenIn(json);
            return (
              <label key={choice.json}>
                <input
                  type="checkbox"
                  checked={chosen.includes(choice.json)}
                  onChange={({ target }) => {
                    const kept = field.choices
                      .map(one => one.json)
                      .filter(one => (one === choice.json ? target.checked : chosen.includes(one)));
                    fill(`[${kept.join(', ')}]`);
                  }}
                />{' '}
                {choice.label}
              </label>
            );
          })}
        </div>
      );
  }
}

/** What an empty field stands for. */
function emptyText(field: FormField, json: string | undefined, trans: TranslationBundle): string {
  if (json === 'null') {
    return 'null';
  }
  if (json === '""' && field.kind !== 'choice') {
    return trans.__('empty text');
  }
  if (field.isRequired) {
    return field.kind === 'choice' ? trans.__('Choose…') : '';
  }
  return field.fallback === null ? trans.__('not passed') : trans.__('default: %1', field.fallback);
}

function chosenIn(json: string | undefined): string[] {
  const values = json === undefined ? [] : parsed(json);
  return Array.isArray(values) ? values.map(one => JSON.stringify(one)) : [];
}

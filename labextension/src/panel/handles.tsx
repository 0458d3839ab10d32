/** Draws the objects that the kernel of the notebook in front holds for programs. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { HeldHandle } from '../api';
import { Code } from '../code';
import { inertLine } from '../inert';
import { DetailSection } from './detailSection';
import { duration, minute, size } from './words';

interface HandleProps {
  handle: HeldHandle;
  /** When it leaves unless it is used again, in seconds since 1970; null: time does not end it. */
  until: number | null;
  trans: TranslationBundle;
}

/** One object in the list: what it is, its shape, its size, and how long it stays. */
export function HandleRow({ handle, until, trans }: HandleProps): React.ReactElement {
  const { label, shape = [], size: bytes = 0 } = handle;
  const facts = [
    shapeText(shape),
    bytes > 0 ? size(bytes) : '',
    whoseText(handle, trans),
    heldText(handle, until, trans)
  ];
  return (
    <>
      <div className="pctx-Row-line">
        <bdi className="pctx-Row-title">{inertLine(label)}</bdi>
        <span className="pctx-Row-mark">{kindName(handle.kind, trans)}</span>
      </div>
      <bdi className="pctx-Row-quiet pctx-Row-line">{facts.filter(Boolean).join(' · ')}</bdi>
    </>
  );
}

export function HandleDetail(props: HandleProps & { forget: () => void }): React.ReactElement {
  const { handle, until, forget, trans } = props;
  const { shape = [], size: bytes = 0, age_s: age = 0 } = handle;
  const facts = [
    handle.kind === 'frame' ? frameText(shape, trans) : shapeText(shape),
    bytes > 0 ? size(bytes) : '',
    whoseText(handle, trans),
    trans.__('held for %1', duration(age))
  ];
  return (
    <DetailSection
      label={trans.__('Chosen handle')}
      title={
        <>
          <bdi>{inertLine(handle.label)}</bdi> · {kindName(handle.kind, trans)}
        </>
      }
    >
      <p className="pctx-Detail-quiet">
        <bdi>{facts.filter(Boolean).join(' · ')}</bdi>
      </p>
      <p className="pctx-Detail-quiet">
        <bdi>{lifeText(handle, until, trans)}</bdi>
      </p>
      <span className="pctx-Row-quiet">{trans.__('Id')}</span>
      <Code label={trans.__('Id')}>{inertLine(handle.id)}</Code>
      {handle.held !== 'run' && (
        <div className="pctx-Detail-buttons">
          <button
            className="jp-mod-styled jp-mod-warn"
            title={trans.__('Programs cannot use this object any more. A variable of the notebook keeps it.')}
            onClick={forget}
          >
            {trans.__('Forget')}
          </button>
        </div>
      )}
    </DetailSection>
  );
}

function shapeText(shape: readonly number[]): string {
  return shape.map(length => length.toLocaleString()).join(' × ');
}

function frameText([rows = 0, columns = 0]: readonly number[], trans: TranslationBundle): string {
  const lengths = [
    trans._n('%2 row', '%2 rows', rows, rows.toLocaleString()),
    trans._n('%2 column', '%2 columns', columns, columns.toLocaleString())
  ];
  return lengths.join(' × ');
}

function kindName(kind: string, trans: TranslationBundle): string {
  switch (kind) {
    case 'frame':
      return trans.__('Frame');
    case 'array':
      return trans.__('Array');
    case 'file':
      return trans.__('File');
    case 'items':
      return trans.__('Items');
    case 'future':
      return trans.__('Future');
    case 'figure':
      return trans.__('Figure');
    default:
      return trans.__('Object');
  }
}

/** The agent or the notebook to which an object was handed over. */
function whoseText({ whose = '' }: HeldHandle, trans: TranslationBundle): string {
  return whose === '' ? '' : trans.__('handed to %1', inertLine(whose));
}

/** What holds an object, and until when. */
function heldText({ held, names = [] }: HeldHandle, until: number | null, trans: TranslationBundle): string {
  switch (held) {
    case 'run':
      return trans.__('until its program ends');
    case 'session':
      return trans.__('kept as %1', inertLine(names.join(', ')));
    case 'agents':
      return until === null
        ? trans.__('for agents and other notebooks')
        : trans.__('for agents and other notebooks, until %1', minute(until));
  }
}

/** How long an object stays, in whole sentences. */
function lifeText({ held, names = [] }: HeldHandle, until: number | null, trans: TranslationBundle): string {
  switch (held) {
    case 'run':
      return trans.__('A program that runs uses it. It is freed when the program ends.');
    case 'session':
      return trans.__(
        'An earlier program exported it as %1. It stays until that name is forgotten or exported again.',
        inertLine(names.join(', '))
      );
    case 'agents':
      return until === null
        ? trans.__('Programs of agents and of other notebooks can open it by its id.')
        : trans.__(
            'Programs of agents and of other notebooks can open it by its id, until %1 unless it is used again.',
            minute(until)
          );
  }
}

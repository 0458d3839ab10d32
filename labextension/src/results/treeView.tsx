/** Draws a value as a tree. All of its text is untrusted, and shown as text. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { inert } from '../inert';
import { DEEPEST, hasParts, label, leaf, pathText, type Token, type TreeModel, type TreeNode } from './tree';

interface TreeProps {
  model: TreeModel;
  trans: TranslationBundle;
  copy: (text: string) => void;
}

export function Tree({ model, trans, copy }: TreeProps): React.ReactElement {
  if (model.root === null) {
    return <div className="pctx-Tree-quiet">{trans.__('This is not a value.')}</div>;
  }
  return (
    <div className="pctx-Tree" role="group" aria-label={trans.__('Value')} data-lm-suppress-shortcuts="true">
      <Node node={model.root} model={model} trans={trans} copy={copy} />
    </div>
  );
}

function Node({ node, ...props }: TreeProps & { node: TreeNode }): React.ReactElement {
  const { model, trans } = props;
  const name = node.key !== null && (
    <>
      <span className="pctx-Tree-key">{inert(label(node.key), 200)}</span>
      {': '}
    </>
  );
  if (!hasParts(node.value) || node.size === 0 || node.path.length >= DEEPEST) {
    const text = hasParts(node.value) ? [{ kind: 'quiet' as const, text: emptyText(node) }] : leaf(node);
    return (
      <div className="pctx-Tree-row" tabIndex={0} role="group" aria-label={label(node.key)}>
        <span className="pctx-Tree-leaf">
          {name}
          <Tokens tokens={text} />
        </span>
        <Acts node={node} {...props} />
      </div>
    );
  }
  const isOpen = model.isOpen(node);
  const parts = isOpen ? model.parts(node) : [];
  const left = node.size - parts.length;
  const drawn = Object.keys(node.value).length;
  return (
    <div>
      <div className="pctx-Tree-row">
        <button
          type="button"
          className="pctx-Tree-fold"
          aria-expanded={isOpen}
          onClick={() => {
            model.toggle(node);
          }}
        >
          <span className="pctx-Tree-caret" aria-hidden="true" />
          {name}
          <span className="pctx-Tree-quiet">
            {Array.isArray(node.value) ? `[${node.size.toLocaleString()}]` : `{${node.size.toLocaleString()}}`}
          </span>{' '}
          {!isOpen && <Tokens tokens={model.preview(node).tokens} />}
        </button>
        <Acts node={node} {...props} />
      </div>
      {isOpen && (
        <div className="pctx-Tree-parts">
          {parts.map(part => (
            <Node key={String(part.key)} node={part} {...props} />
          ))}
          {left > 0 && (
            <div className="pctx-Tree-quiet">
              {parts.length < drawn ? (
                <button
                  type="button"
                  onClick={() => {
                    model.step(node);
                  }}
                >
                  {trans.__('… %1 more', left.toLocaleString())}
                </button>
              ) : (
                trans.__('… %1 more', left.toLocaleString())
              )}
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function emptyText(node: TreeNode): string {
  const inside = node.size > 0 ? '…' : '';
  return Array.isArray(node.value) ? `[${inside}]` : `{${inside}}`;
}

function Tokens({ tokens }: { tokens: Token[] }): React.ReactElement {
  return (
    <>
      {tokens.map((token, index) => (
        <span key={index} className={`pctx-Tree-${token.kind}`}>
          {inert(token.text, 1100)}
        </span>
      ))}
    </>
  );
}

/** What can be done with a value; shown while the mouse or the focus is in its row. */
function Acts({ node, model, trans, copy }: TreeProps & { node: TreeNode }): React.ReactElement {
  const [said, setSaid] = React.useState('');
  return (
    <span className="pctx-Tree-acts">
      <button
        type="button"
        onClick={() => {
          model.copied(node).then(
            text => {
              copy(text);
              setSaid(trans.__('copied'));
            },
            () => {
              setSaid(trans.__('The notebook has only a part of it. Run the cell again to get all.'));
            }
          );
        }}
      >
        {trans.__('Copy value')}
      </button>
      {node.path.length > 0 && (
        <button
          type="button"
          title={pathText(node.path)}
          onClick={() => {
            copy(pathText(node.path));
            setSaid(trans.__('copied'));
          }}
        >
          {trans.__('Copy path')}
        </button>
      )}
      <span role="status">{said}</span>
    </span>
  );
}

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { leaf, pathText, TreeModel, type TreeNode } from '../../src/results/tree';

function model(json: unknown, load?: (id: string, path: (string | number)[]) => Promise<unknown>): TreeModel {
  const found = new TreeModel(load ?? null);
  found.json = json;
  return found;
}

function root(of: TreeModel): TreeNode {
  assert.ok(of.root);
  return of.root;
}

function text(of: TreeModel, node = root(of)): string {
  return of
    .preview(node)
    .tokens.map(token => token.text)
    .join('');
}

test('a preview is the beginning of a value, each piece with its kind', () => {
  const small = model({ value: { name: 'Ann', n: [1, null], ok: true } });
  assert.equal(text(small), '{name: "Ann", n: [1, null], ok: true}');
  assert.deepEqual(
    small
      .preview(root(small))
      .tokens.map(token => token.kind)
      .slice(0, 4),
    ['quiet', 'key', 'quiet', 'string']
  );
  const large = model({ value: { list: Array.from({ length: 100 }, (_, n) => n), end: 1 } });
  assert.match(text(large), /^\{list: \[0, 1, 2, .* …$/);
  assert.ok(text(large).length < 100);
  assert.match(text(model({ value: ['x'.repeat(5000)] })), /^\["x+" …$/);
});

test('numbers that a browser does not have are shown and copied with all digits', async () => {
  const found = model({
    value: { id: null, n: [null] },
    texts: [
      [['id'], '9007199254740993'],
      [['n', 0], 'NaN']
    ]
  });
  assert.equal(text(found), '{id: 9007199254740993, n: [NaN]}');
  assert.equal(await found.copied(root(found)), '{\n  "id": 9007199254740993,\n  "n": [\n    NaN\n  ]\n}');
});

test('a text is copied as it is, and a path can be put behind a name in TypeScript and in Python', async () => {
  const found = model({ value: { 'a "b"': ['x\ny'] } });
  const [list] = found.parts(root(found));
  assert.ok(list);
  const [item] = found.parts(list);
  assert.ok(item);
  assert.equal(await found.copied(item), 'x\ny');
  assert.equal(pathText(item.path), '["a \\"b\\""][0]');
});

test('what the file has only in part is copied whole from the kernel, and else not at all', async () => {
  const asked: unknown[] = [];
  const json = {
    value: { a: [1], b: 'x', c: 1 },
    cut: [
      [['a'], 900],
      [['b'], 5000]
    ],
    id: 'kept'
  };
  const found = model(json, (id, path) => {
    asked.push([id, path]);
    return Promise.resolve({ text: 'whole' });
  });
  const parts = found.parts(root(found));
  assert.deepEqual(
    [root(found), ...parts].map(node => found.isPart(node)),
    [true, true, true, false]
  );
  assert.deepEqual(
    parts.map(node => node.size),
    [900, 5000, 0]
  );
  assert.equal(await found.copied(root(found)), 'whole');
  assert.equal(await found.copied(parts[1] as TreeNode), 'whole');
  assert.deepEqual(asked, [
    ['kept', []],
    ['kept', ['b']]
  ]);
  await assert.rejects(model(json).copied(parts[0] as TreeNode), /only a part/);
  await assert.rejects(model(json, () => Promise.resolve({})).copied(parts[0] as TreeNode), /not sent/);
  assert.match(
    leaf(parts[1] as TreeNode)
      .map(token => token.text)
      .join(''),
    /5,000 characters/
  );
});

test('many items are drawn in steps', () => {
  const found = model({ value: Array.from({ length: 250 }, (_, n) => n) });
  assert.equal(found.parts(root(found)).length, 100);
  found.step(root(found));
  found.step(root(found));
  assert.equal(found.parts(root(found)).length, 250);
});

test('what is no tree is none, and broken notes are left out', () => {
  for (const json of [null, undefined, 5, 'x', {}, { value: 5 }, { value: null }]) {
    assert.equal(model(json).root, null);
  }
  const found = model({ value: [1], texts: 'x', cut: [1, [1], [['a'], 'x'], [[], -1], null] });
  assert.deepEqual([root(found).size, root(found).isCut], [1, false]);
});

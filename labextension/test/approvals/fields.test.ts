import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Question } from '../../src/api';
import { type FormField, fieldsOf, joined, jsonOf, membersOf, shownIn } from '../../src/approvals/fields';
import { Drafts } from '../../src/approvals/model';

const members = (text: string): ReadonlyMap<string, string> => membersOf(text) ?? new Map<string, string>();

/** The only field of a schema, with its value. */
const field = (schema: unknown, value?: string, required = false): FormField => {
  const fields = fieldsOf(
    {
      properties: { a: schema },
      required: required ? ['a'] : [],
      $defs: { Size: { enum: ['s', 'm'], title: 'Size' } }
    },
    value === undefined ? new Map() : new Map([['a', value]])
  );
  assert.equal(fields?.length, 1);
  return fields?.[0] as FormField;
};

test('each kind of argument has its control', () => {
  for (const [schema, value, kind] of [
    [{ type: 'string' }, '"x"', 'text'],
    [{ type: 'string' }, undefined, 'text'],
    [{ type: 'string' }, '"a\\nb"', 'lines'],
    [{ type: 'integer' }, '12345678901234567890', 'number'],
    [{ type: 'boolean' }, 'true', 'yes'],
    [{ type: 'boolean' }, undefined, 'choice'],
    [{ enum: ['s', 'm'] }, '"s"', 'choice'],
    [{ $ref: '#/$defs/Size' }, '"s"', 'choice'],
    [{ allOf: [{ $ref: '#/$defs/Size' }], default: 's' }, undefined, 'choice'],
    [{ anyOf: [{ $ref: '#/$defs/Size' }, { type: 'null' }] }, 'null', 'choice'],
    [{ oneOf: [{ const: 'r', title: 'Red' }] }, '"r"', 'choice'],
    [{ type: 'array', items: { enum: ['mon', 'tue'] } }, '["tue"]', 'choices'],
    [{ type: ['string', 'null'] }, 'null', 'text'],
    [{ type: 'array', items: { type: 'string' } }, '["x"]', 'json'],
    [{ type: 'object' }, '{}', 'json'],
    [{}, '1', 'json']
  ] as const) {
    assert.equal(field(schema, value).kind, kind, JSON.stringify(schema));
  }
});

test('a value that its control cannot show exactly is edited as JSON', () => {
  for (const [schema, value] of [
    [{ type: 'string' }, '5'],
    [{ type: 'string' }, '"a\\u202eb"'],
    [{ type: 'string' }, 'null'],
    [{ type: 'string' }, '"a\\r"'],
    [{ type: 'integer' }, '"5"'],
    [{ type: 'boolean' }, '"true"'],
    [{ enum: ['s', '\u202em'] }, '"s"'],
    [{ enum: [2 ** 60] }, '1'],
    [{ type: 'array', items: { enum: ['mon'] } }, '["mon", "mon"]'],
    [{ type: 'array', items: { enum: ['mon'] } }, '["wed"]']
  ] as const) {
    assert.equal(field(schema, value).kind, 'json', `${JSON.stringify(schema)} ${value}`);
  }
});

test('arguments that a schema does not name are fields too', () => {
  const fields = fieldsOf({ properties: { a: { type: 'string' } } }, members('{"b": {"c": 1}, "a": "x"}'));
  assert.deepEqual(
    fields?.map(one => [one.name, one.kind]),
    [
      ['a', 'text'],
      ['b', 'json']
    ]
  );
});

test('without a schema, or with very many arguments, there is no form', () => {
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`p${String(index)}`, {}]));
  for (const schema of [undefined, null, true, {}, { properties: [] }, { properties: many }, { type: 'array' }]) {
    assert.equal(fieldsOf(schema, new Map()), null);
  }
});

test('arguments are split into their members, and written again, without a change of a number', () => {
  const text = '{\n  "a": 12345678901234567890,\n  "b": {"c": [1, "}"], "d": "\\",{"},\n  "": null\n}';
  const found = members(text);
  assert.deepEqual(
    [...found],
    [
      ['a', '12345678901234567890'],
      ['b', '{"c": [1, "}"], "d": "\\",{"}'],
      ['', 'null']
    ]
  );
  assert.equal(joined(found), text);
  assert.deepEqual([...members(' { } ')], []);
  assert.equal(membersOf('{"a": 1, "a": 2}'), null, 'a form would hide one of them');
  for (const wrong of ['', '[1]', '{"a": }', 'null', '"x"']) {
    assert.equal(membersOf(wrong), null, wrong);
  }
});

test('what is put into a field is JSON of its kind, and an empty optional field is left out', () => {
  const text = field({ type: 'string' });
  assert.deepEqual([jsonOf(text, 'a"b'), jsonOf(text, '')], ['"a\\"b"', null]);
  assert.equal(jsonOf(field({ type: 'string' }, '"x"', true), ''), '""');
  const number = field({ type: 'integer' });
  assert.deepEqual(
    [' 12345678901234567890 ', '1e3', 'twelve', '', '01', '1,5'].map(typed => jsonOf(number, typed)),
    ['12345678901234567890', '1e3', '"twelve"', null, '"01"', '"1,5"']
  );
  assert.equal(jsonOf(field({ type: ['integer', 'null'] }, '5', true), ''), 'null');
  assert.deepEqual(
    [shownIn(number, '"twelve"'), shownIn(number, '007'), shownIn(number, undefined)],
    ['twelve', '007', '']
  );
});

test('JSON of several lines is shown without the indentation of its member, and has it again when it is passed', () => {
  const list = field({ type: 'array' }, '[1]');
  const json = '[\n    1,\n    2\n  ]';
  assert.equal(shownIn(list, json), '[\n  1,\n  2\n]');
  assert.equal(jsonOf(list, shownIn(list, json)), json);
});

const SCHEMA = {
  type: 'object',
  properties: { to: { type: 'string' }, orders: { type: 'array', items: { type: 'integer' } } },
  required: ['to']
};

const question = (args: string, more: Partial<Question> = {}): Question => ({
  id: 'q',
  tool: 'Mail.send',
  description: '',
  asked_by: 'agent',
  execution: 'e',
  code: '1',
  arguments: args,
  argument_bytes: args.length,
  input_schema: SCHEMA,
  ...more
});

test('a field that is filled in changes the arguments, and back again the program’s own are passed', () => {
  const drafts = new Drafts();
  const one = question('{"to":"all","orders":[1]}');
  const [to, orders] = drafts.fields(one) ?? [];
  assert.ok(to && orders);
  drafts.fill(one, to, 'me');
  assert.deepEqual(JSON.parse(drafts.edited(one) ?? ''), { to: 'me', orders: [1] });
  drafts.fill(one, to, 'all');
  assert.equal(drafts.edited(one), null);
  drafts.fill(one, orders, '');
  assert.deepEqual(JSON.parse(drafts.edited(one) ?? ''), { to: 'all' });
});

test('a field with invalid JSON is named, adds no other argument, and stays as it was typed', () => {
  const drafts = new Drafts();
  const one = question('{"to":"all"}');
  const [, orders] = drafts.fields(one) ?? [];
  assert.ok(orders);
  for (const typed of ['[1', '1, "bcc": "everybody"']) {
    drafts.fill(one, orders, typed);
    assert.equal(drafts.edited(one), undefined);
    assert.deepEqual([drafts.canAllow(one), drafts.problems(one)[0]?.field], [false, 'orders']);
    assert.equal(drafts.value(one, orders), typed);
  }
});

test('arguments are edited as JSON and in the form in turn, and each has what was typed in the other', () => {
  const drafts = new Drafts();
  const one = question('{"to":"all"}');
  drafts.switch(one);
  assert.equal(drafts.fields(one), null);
  drafts.write(one, '{"to": 5, "cc": "x"}');
  drafts.switch(one);
  assert.deepEqual(
    drafts.fields(one)?.map(field => [field.name, field.kind, drafts.value(one, field)]),
    [
      ['to', 'json', '5'],
      ['orders', 'json', undefined],
      ['cc', 'json', '"x"']
    ]
  );
  drafts.switch(one);
  drafts.write(one, '{');
  assert.equal(drafts.canSwitch(one), false, 'a form cannot show what is no JSON');
  assert.equal(drafts.canSwitch(question('{"to":', { id: 'cut', is_cut: true })), false);
});

test('the draft of an answer is checked at once, and its empty fields are no mistakes yet', async () => {
  const asked: (string | null)[] = [];
  const drafts = new Drafts((_, args) => {
    asked.push(args);
    return Promise.resolve(args === null ? [{ field: 'to', message: 'is required (text)' }] : []);
  });
  const form = { server: 'wiki', message: '?', schema: SCHEMA };
  const one = question('{"to":null}', { form, input_schema: undefined });
  drafts.keep([one]);
  drafts.keep([one]);
  await Promise.resolve();
  assert.deepEqual(asked, [null]);
  assert.equal(drafts.canAllow(one), false);
  const [to] = drafts.fields(one) ?? [];
  assert.ok(to);
  assert.deepEqual([to.kind, drafts.value(one, to), drafts.isTouched(one, to)], ['text', undefined, false]);
  drafts.fill(one, to, 'me');
  assert.deepEqual([drafts.canAllow(one), drafts.isTouched(one, to)], [true, true]);
});

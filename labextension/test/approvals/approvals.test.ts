import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nullTranslator } from '@jupyterlab/translation';

import type { Question } from '../../src/api';
import { effectsMark, effectsText } from '../../src/approvals/effects';
import { Drafts, linesOf, shown } from '../../src/approvals/model';
import { MOST, ApprovalNotices } from '../../src/approvals/notices';
import type { Notifier } from '../../src/notifier';
import { entryOf, nameOf } from '../../src/panel/servers';

const question = (args: string, more: Partial<Question> = {}): Question => ({
  id: 'q',
  tool: 'Mail.send',
  description: '',
  asked_by: 'agent',
  execution: 'e',
  code: '1',
  arguments: args,
  argument_bytes: args.length,
  ...more
});

test('arguments are laid out, but not those with numbers that would change', () => {
  assert.equal(shown(question('{"a":1}')), '{\n  "a": 1\n}');
  assert.equal(shown(question('{"a":12345678901234567890}')), '{"a":12345678901234567890}');
  assert.equal(shown(question('{"a":', { is_cut: true })), '{"a":');
});

test('characters that turn others are escapes, and the arguments the same', () => {
  const text = shown(question(JSON.stringify({ to: 'a\u202eb' })));
  assert.ok(text.includes('\\u202e'));
  assert.deepEqual(JSON.parse(text), { to: 'a\u202eb' });
});

test('what is written is passed when it is an object, and the program’s own when nothing was', () => {
  const drafts = new Drafts();
  const one = question('{"a":1}');
  assert.equal(drafts.edited(one), null);
  drafts.write(one, '{"a": 2}');
  assert.equal(drafts.edited(one), '{"a": 2}');
  for (const wrong of ['{', '[1]', 'null', '']) {
    drafts.write(one, wrong);
    assert.equal(drafts.edited(one), undefined, wrong);
  }
  drafts.keep([]);
  assert.equal(drafts.edited(one), null);
});

test('the line that calls is the program’s, also where its code begins further down', () => {
  assert.deepEqual(linesOf(question('{}', { code: 'a\nb', line: 2 })), [
    { number: 1, text: 'a', isCalling: false },
    { number: 2, text: 'b', isCalling: true }
  ]);
  const cut = linesOf(question('{}', { code: 'x\ny', first_line: 900, code_cut: true, line: 900 }));
  assert.deepEqual(
    cut.map(line => [line.number, line.isCalling]),
    [
      [900, true],
      [901, false]
    ]
  );
});

test('numbers that would change when they are laid out are shown as they are', () => {
  for (const text of ['{"n":1e400}', '{"n":-0}', '{"n":12345678901234567}', '{"n":5E-999}']) {
    assert.equal(shown(question(text)), text);
  }
});

test('each call that waits is told of once, a few at a time, and no more once it is answered', () => {
  const told: string[] = [];
  const notifier = {
    emit: (message: string) => (told.push(message), message),
    dismiss: (id: string) => told.push(`gone: ${id}`)
  } as unknown as Notifier;
  const notices = new ApprovalNotices(
    nullTranslator.load(''),
    { review: () => undefined, deny: () => undefined },
    notifier
  );
  const many = [1, 2, 3, 4].map(number => question(`{"n":${number}}`, { id: String(number) }));
  notices.update(many);
  notices.update(many);
  assert.equal(told.length, MOST);
  assert.equal(told[0], 'An agent asks to call Mail.send with {"n":1}');
  notices.update(many.slice(1));
  assert.equal(told.at(-2), `gone: ${told[0] ?? ''}`);
  assert.equal(told.at(-1), 'An agent asks to call Mail.send with {"n":4}');
});

test('a server is a URL, or a command with quoted words', () => {
  assert.deepEqual(entryOf('a', ' https://x.example/mcp '), { name: 'a', url: 'https://x.example/mcp' });
  assert.deepEqual(entryOf('a', `npx -y server "my folder" 'b c'`), {
    name: 'a',
    command: 'npx',
    args: ['-y', 'server', 'my folder', 'b c']
  });
  assert.deepEqual(
    ['https://mcp.example.com/x', 'uvx mcp-server-time', '/usr/bin/thing', 'npx -y @scope/files'].map(nameOf),
    ['example', 'time', 'thing', 'files']
  );
});

test('a tool whose effects nobody knows is told apart from one that has none', () => {
  const trans = nullTranslator.load('');
  assert.deepEqual(
    [true, false, null].map(effects => effectsText(effects, trans)),
    ['It changes something outside.', '', 'It does not say whether it changes something.']
  );
  assert.deepEqual(
    [true, false, null].map(effects => effectsMark(effects, trans)),
    ['effects', '', 'effects unknown']
  );
});

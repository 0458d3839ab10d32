import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nullTranslator } from '@jupyterlab/translation';

import type { Question } from '../../src/api';
import { effectsMark, effectsText } from '../../src/approvals/effects';
import { Deadlines, Drafts, clock, linesOf, shown } from '../../src/approvals/model';
import { DesktopNotices } from '../../src/approvals/desktop';
import { MOST, ApprovalNotices } from '../../src/approvals/notices';
import { TitleCount } from '../../src/approvals/title';
import type { Notifier } from '../../src/notifier';

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
    { review: () => undefined, allow: () => undefined, deny: () => undefined },
    notifier
  );
  const many = [1, 2, 3, 4].map(number => question(`{"n":${number}}`, { id: String(number) }));
  notices.update(many);
  notices.update(many);
  assert.equal(told.length, MOST);
  assert.equal(told[0], 'An agent wants to call Mail.send with {"n":1}');
  notices.update(many.slice(1));
  assert.equal(told.at(-2), `gone: ${told[0] ?? ''}`);
  assert.equal(told.at(-1), 'An agent wants to call Mail.send with {"n":4}');
});

test('a notification that fades out is not answered a second time', () => {
  const clicks: (() => void)[] = [];
  const notifier: Notifier = {
    emit: (_message, _type, options) => {
      for (const { label, callback } of options?.actions ?? []) {
        if (label !== 'Review') {
          clicks.push(() => {
            callback(new MouseEvent('click'));
          });
        }
      }
      return 'shown';
    },
    update: () => true,
    dismiss: () => undefined
  };
  const answers: string[] = [];
  const reactions = {
    review: () => undefined,
    allow: (one: Question) => answers.push(`allow ${one.id}`),
    deny: (one: Question) => answers.push(`deny ${one.id}`)
  };
  const notices = new ApprovalNotices(nullTranslator.load(''), reactions, notifier);
  notices.update([question('{}', { id: 'first' }), question('{}', { id: 'second' })]);
  const [allowFirst, denyFirst, , denySecond] = clicks;
  denyFirst?.();
  denyFirst?.();
  allowFirst?.();
  denySecond?.();
  assert.deepEqual(answers, ['deny first', 'deny second']);
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

test('edited arguments are checked by the server once the keyboard rests, and a refused answer names its fields', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const asked: string[] = [];
  const drafts = new Drafts((id, args) => {
    asked.push(`${id} ${args}`);
    return Promise.resolve(args?.includes('"x"') ? [{ field: 'a', message: 'must be integer, not string' }] : []);
  });
  const one = question('{"a":1}');
  drafts.write(one, '{"a": "');
  assert.equal(drafts.canAllow(one), false, 'not JSON');
  drafts.write(one, '{"a": "x"}');
  t.mock.timers.tick(1000);
  await Promise.resolve();
  assert.deepEqual(asked, ['q {"a": "x"}'], 'what is no JSON is not sent');
  assert.deepEqual(drafts.problems(one), [{ field: 'a', message: 'must be integer, not string' }]);
  assert.equal(drafts.canAllow(one), false);
  drafts.write(one, '{"a": 2}');
  assert.equal(drafts.canAllow(one), true, 'what is wrong with an old text is no longer shown');
  drafts.refuse(one, [{ field: 'b', message: 'is missing' }]);
  assert.deepEqual([drafts.canAllow(one), drafts.problems(one)[0]?.field], [false, 'b']);
  drafts.write(one, shown(one));
  assert.equal(drafts.canAllow(one), true, 'the program’s own arguments are not checked');
});

test('an answer about a text that has changed since is dropped', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const answers: ((problems: { field: string; message: string }[]) => void)[] = [];
  const drafts = new Drafts(() => new Promise(resolve => answers.push(resolve)));
  const one = question('{"a":1}');
  drafts.write(one, '{"a": "x"}');
  t.mock.timers.tick(1000);
  drafts.write(one, '{"a": 3}');
  answers[0]?.([{ field: 'a', message: 'must be integer, not string' }]);
  await Promise.resolve();
  assert.equal(drafts.canAllow(one), true);
});

test('the time that is left counts from the last answer of the server', () => {
  let now = 100;
  const deadlines = new Deadlines(() => now);
  deadlines.keep([question('{}', { left_s: 120 })]);
  now = 118.2;
  assert.deepEqual(
    [deadlines.left('q'), clock(deadlines.left('q') ?? 0), deadlines.left('other')],
    [102, '1:42', null]
  );
  assert.ok(Math.abs(deadlines.part('q') - 0.85) < 0.01);
  now = 900;
  assert.equal(deadlines.left('q'), 0);
});

test('a call is allowed in its notification only where all of its arguments are there to be read', () => {
  const shownActions: string[][] = [];
  const messages: string[] = [];
  const dismissed: string[] = [];
  const reviews: (() => void)[] = [];
  const notifier = {
    emit: (
      message: string,
      _: string,
      options: { actions: { label: string; callback: (event: MouseEvent) => void }[] }
    ) => {
      messages.push(message);
      shownActions.push(options.actions.map(action => action.label));
      reviews.push(() => {
        options.actions[0]?.callback(new MouseEvent('click'));
      });
      return String(messages.length);
    },
    update: ({ message }: { message: string }) => messages.push(message),
    dismiss: (id: string) => dismissed.push(id)
  } as unknown as Notifier;
  let now = 0;
  const deadlines = new Deadlines(() => now);
  const reactions = { review: () => undefined, allow: () => undefined, deny: () => undefined };
  const notices = new ApprovalNotices(nullTranslator.load(''), reactions, notifier, deadlines);
  const waiting = [
    question('{"n":1}', { id: 'short', agent: 'Claude Code', left_s: 120 }),
    question(JSON.stringify({ text: 'x'.repeat(200) }), { id: 'long', left_s: 120 }),
    question('{"n":1}', { id: 'cut', is_cut: true, left_s: 120 })
  ];
  deadlines.keep(waiting);
  notices.update(waiting);
  assert.deepEqual(shownActions, [
    ['Review', 'Allow', 'Deny'],
    ['Review', 'Deny'],
    ['Review', 'Deny']
  ]);
  assert.equal(messages[0], 'Claude Code wants to call Mail.send with {"n":1} · 2:00 left');
  notices.tick();
  assert.equal(messages.length, 3, 'nothing has changed');
  now = 25;
  notices.tick();
  assert.equal(messages[3], 'Claude Code wants to call Mail.send with {"n":1} · 1:40 left');
  reviews[0]?.();
  now = 50;
  notices.tick();
  notices.update(waiting);
  assert.deepEqual(dismissed, ['1'], 'what is reviewed in the panel is not asked there as well');
  assert.deepEqual(
    messages.slice(6).filter(message => message.includes('Claude')),
    []
  );
});

test('the page’s title has the number of calls that wait, also after the title was written again', async () => {
  document.title = '(1) copy.ipynb - JupyterLab';
  const count = new TitleCount(document);
  const settled = (): Promise<unknown> => new Promise(resolve => setTimeout(resolve, 0));
  count.count(2);
  assert.equal(document.title, '(2) (1) copy.ipynb - JupyterLab');
  document.title = 'shop.ipynb - JupyterLab';
  await settled();
  assert.equal(document.title, '(2) shop.ipynb - JupyterLab');
  count.count(1);
  assert.equal(document.title, '(1) shop.ipynb - JupyterLab');
  count.count(0);
  document.title = '(1) copy.ipynb - JupyterLab';
  await settled();
  assert.equal(document.title, '(1) copy.ipynb - JupyterLab');
  count.dispose();
});

test('a notification of the browser names a call once, if it is allowed and the page is not in front', () => {
  let permission: NotificationPermission = 'default';
  let asked = 0;
  let isAway = true;
  const log: string[] = [];
  const open: Shown[] = [];
  class Shown {
    onclick: (() => void) | null = null;
    static get permission(): NotificationPermission {
      return permission;
    }
    static requestPermission(): Promise<NotificationPermission> {
      asked++;
      return Promise.resolve(permission);
    }
    constructor(
      title: string,
      private readonly options: { body: string }
    ) {
      log.push(`${title}: ${options.body}`);
      open.push(this);
    }
    close(): void {
      log.push(`closed: ${this.options.body}`);
    }
  }
  const reviewed: string[] = [];
  const notices = new DesktopNotices(
    nullTranslator.load(''),
    one => reviewed.push(one.id),
    Shown,
    () => isAway
  );
  const one = question('{"secret":1}', { agent: 'Claude Code' });
  notices.update([question('{}', { id: 'before' })]);
  notices.isOn = true;
  notices.isOn = true;
  assert.deepEqual([asked, log], [1, []]);
  permission = 'granted';
  notices.update([one]);
  notices.update([one]);
  assert.deepEqual(log, ['Waiting for you: Claude Code wants to call Mail.send']);
  window.focus = () => undefined;
  open[0]?.onclick?.();
  assert.deepEqual(reviewed, ['q']);
  isAway = false;
  notices.update([question('{}', { id: 'other' })]);
  assert.deepEqual(log.slice(1), ['closed: Claude Code wants to call Mail.send']);
  isAway = true;
  notices.isOn = false;
  notices.update([question('{}', { id: 'third' })]);
  assert.equal(open.length, 1);
  new DesktopNotices(
    nullTranslator.load(''),
    () => undefined,
    undefined,
    () => true
  ).update([one]);
});

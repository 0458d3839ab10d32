/** What a person types about a server, as an entry, or as an error that says what is wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nullTranslator } from '@jupyterlab/translation';

import type { Upstream } from '../../src/api';
import { entriesOf, kindOf, nameOf, wordsOfCommand } from '../../src/panel/entries';
import { outcomeOf } from '../../src/panel/dialog';
import { stateClass, stateWord } from '../../src/panel/servers';

const trans = nullTranslator.load('');
const entries = (where: string, name = '', extra = ''): unknown => entriesOf({ where, name, extra, json: '' }, trans);

test('a server is a URL, or a command with quoted words', () => {
  assert.deepEqual(entries(' https://x.example/mcp ', 'a'), [{ name: 'a', url: 'https://x.example/mcp' }]);
  assert.deepEqual(entries(`npx -y server "my folder" 'b c'`, 'a'), [
    { name: 'a', command: 'npx', args: ['-y', 'server', 'my folder', 'b c'] }
  ]);
  assert.deepEqual(
    ['https://mcp.example.com/x', 'uvx mcp-server-time', '/usr/bin/thing', 'npx -y @scope/files'].map(one =>
      nameOf(one, trans)
    ),
    ['example', 'time', 'thing', 'files']
  );
});

test('words are those of a shell, and paths of Windows keep their backslashes', () => {
  const words = (text: string): string[] => wordsOfCommand(text, trans);
  assert.deepEqual(words('a --root="x y"/z \'\' "it\'s"'), ['a', '--root=x y/z', '', "it's"]);
  assert.deepEqual(words('a\\ b "say \\"yes\\"" C:\\tools\\x.exe'), ['a b', 'say "yes"', 'C:\\tools\\x.exe']);
  assert.deepEqual(words('  '), []);
});

test('what cannot be read is an error that says so, and starts nothing', () => {
  const wrong: [string, string, string, RegExp][] = [
    ['ls "unclosed', '', '', /This quotation mark is not closed: "unclosed/],
    ["ls 'a b", '', '', /This quotation mark is not closed/],
    ['', '', '', /Type a URL/],
    ['""', '', '', /The command is empty/],
    ['ftp://x.example', '', '', /Not a web address/],
    ['https://', '', '', /Not a web address/],
    ['https://x.example', 'a', 'no colon here', /Cannot read the line no colon here/],
    ['uvx thing', 'a', 'NO_VALUE', /Cannot read the line NO_VALUE/],
    ['{"mcpServers": {}}', '', '', /The JSON names no server/],
    ['{"mcpServers"', '', '', /Not valid JSON: expected :/]
  ];
  for (const [where, name, extra, message] of wrong) {
    assert.throws(() => entries(where, name, extra), message, where);
  }
});

test('headers and environment go along, a line each', () => {
  assert.deepEqual(entries('https://x.example', 'a', 'Authorization: Bearer ${env:T}\n\nX-A: b: c'), [
    { name: 'a', url: 'https://x.example', headers: { Authorization: 'Bearer ${env:T}', 'X-A': 'b: c' } }
  ]);
  assert.deepEqual(entries('uvx thing', 'a', 'A=1=2\nB='), [
    { name: 'a', command: 'uvx', args: ['thing'], env: { A: '1=2', B: '' } }
  ]);
});

test('servers of another client are pasted as they are', () => {
  const pasted = '{"mcpServers": {"time": {"command": "uvx", "args": ["x"]}, "wiki": {"url": "https://w"}}}';
  assert.equal(kindOf('https://x'), 'url');
  assert.deepEqual(entries(pasted), [
    { command: 'uvx', args: ['x'], name: 'time' },
    { url: 'https://w', name: 'wiki' }
  ]);
});

test('JSON in its own field counts in place of the rest', () => {
  const json = '{"mcpServers": {"time": {"command": "uvx"}}}';
  assert.deepEqual(entriesOf({ where: 'ls', name: 'x', extra: '', json }, trans), [{ command: 'uvx', name: 'time' }]);
  assert.throws(
    () => entriesOf({ where: '', name: '', extra: '', json: '{' }, trans),
    /Not valid JSON: expected a name/
  );
});

test('the outcome of a test is in words', () => {
  const of = (server: Partial<Upstream>, isNamed = false): string =>
    outcomeOf({ name: 'a', ...server } as Upstream, isNamed, trans);
  assert.equal(of({ state: 'ready', tools: 1 }), 'It works: 1 tool.');
  assert.equal(of({ state: 'ready', tools: 12 }, true), 'a: It works: 12 tools.');
  assert.equal(of({ state: 'down', error: 'it ended\nwith status 3' }), 'it ended with status 3');
  assert.equal(of({ state: 'connecting' }), 'It does not answer.');
  assert.match(of({ state: 'needs sign-in' }), /needs a sign-in/);
});

test('the state of a server has a colour and a word', () => {
  const of = (state: Upstream['state'], withheld: string[] = []): string[] => {
    const server = { state, withheld } as unknown as Upstream;
    return [stateClass(server), stateWord(server, trans)];
  };
  assert.deepEqual(of('ready'), ['ok', 'ready']);
  assert.deepEqual(of('ready', ['x']), ['stopped', 'needs you']);
  assert.deepEqual(of('connecting'), ['running', 'connecting']);
  assert.deepEqual(of('untrusted'), ['stopped', 'needs you']);
  assert.deepEqual(of('needs sign-in'), ['stopped', 'needs you']);
  assert.deepEqual(of('down'), ['failed', 'failed']);
});

// Runs test/**/*.test.ts(x): esbuild makes one script of each, and Node's own test runner runs them in jsdom.
// Arguments select: `jlpm test cells` runs what has "cells" in its path.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const tests = readdirSync(here, { recursive: true })
  .filter(path => /\.test\.tsx?$/.test(path))
  .filter(path => wanted.length === 0 || wanted.some(word => path.includes(word)))
  .sort();
// Inside the package, so that what stays out of the scripts is found from there.
const out = mkdtempSync(join(here, '..', '.test-'));
process.on('exit', () => rmSync(out, { recursive: true, force: true }));

await build({
  entryPoints: tests.map(path => join(here, path)),
  outdir: out,
  outbase: here,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  sourcemap: 'inline',
  external: ['jsdom'],
  // What front ends resolve, too; without it there would be two CodeMirrors.
  mainFields: ['module', 'main'],
  loader: { '.css': 'empty', '.svg': 'text' },
  banner: { js: `require(${JSON.stringify(join(here, 'dom.cjs'))});` },
  logLevel: 'warning'
});
const scripts = tests.map(path => join(out, path.replace(/\.tsx?$/, '.cjs')));
const options = ['--enable-source-maps', '--test', '--test-reporter=spec'];
const done = spawnSync(process.execPath, [...options, ...scripts], { stdio: 'inherit' });
process.exit(done.status ?? 1);

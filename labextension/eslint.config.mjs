import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['lib/', 'node_modules/', '.test-*/', '.yarn/'] },
  { files: ['src/**/*.{ts,tsx}'], extends: [js.configs.recommended, ...tseslint.configs.strictTypeChecked] },
  { files: ['test/**/*.{ts,tsx}'], extends: [js.configs.recommended, ...tseslint.configs.recommendedTypeChecked] },
  {
    files: ['src/**/*.{ts,tsx}', 'test/**/*.{ts,tsx}'],
    languageOptions: { parserOptions: { project: './test/tsconfig.json' } },
    rules: {
      // Requests go out through api.ts alone: it knows the base URL, the token and what a missing server means.
      'no-restricted-globals': ['error', 'fetch', 'XMLHttpRequest'],
      // Text from tools, programs and servers is a stranger's.
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: "Use textContent, or JupyterLab's sanitizer." },
        { property: 'outerHTML', message: "Use textContent, or JupyterLab's sanitizer." },
        { property: 'insertAdjacentHTML', message: "Use textContent, or JupyterLab's sanitizer." }
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Lumino's namespaces and signals.
      '@typescript-eslint/no-namespace': 'off'
    }
  },
  {
    files: ['src/api.ts'],
    rules: { 'no-restricted-globals': 'off' }
  },
  {
    files: ['test/**/*.{ts,tsx}'],
    // node:test's `test` returns a promise that nobody awaits.
    rules: { '@typescript-eslint/no-floating-promises': 'off' }
  }
);

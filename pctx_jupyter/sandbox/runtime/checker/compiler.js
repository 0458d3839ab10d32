// @ts-check
/**
 * The TypeScript compiler, and the options with which programs are read.
 */

import compiler from "../vendor/typescript.min.txt" with { type: "text" };

// As a text it is ready in a third of the time a module takes. Evaluated as it is, V8 keeps no second copy of its 3.6 MB.
Reflect.deleteProperty(globalThis, "process"); // Deno would load it, for the compiler to look at.
(0, eval)(compiler);
export const { ts } = /** @type {any} */ (globalThis);
Reflect.deleteProperty(globalThis, "ts");

export const OPTIONS = {
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  moduleDetection: ts.ModuleDetectionKind.Force, // a program is a module, `export` or not
  lib: ["lib.esnext.d.ts"],
  types: [],
  strict: true,
  // Implicit `any` passes; but only with this on does `const rows = []` grow into what is pushed. Its errors are dropped.
  noImplicitAny: true,
  useUnknownInCatchVariables: false, // `catch (e) { e.message }`
  allowUnreachableCode: true,
  allowUnusedLabels: true,
  noUncheckedSideEffectImports: true,
  noEmit: true,
  allowImportingTsExtensions: true,
};

/** For what people write without types: there `null` and `[]` say nothing of what comes later. */
export const PLAIN_OPTIONS = { ...OPTIONS, allowJs: true, checkJs: true, strictNullChecks: false };

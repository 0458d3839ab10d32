// Says what is wrong with declarations themselves: each line of stdin is one text, as JSON; each line of stdout lists
// the messages about it, with their lines. The type checker itself reports on programs alone.

const runtime = new URL("../../pctx_jupyter/sandbox/runtime/", import.meta.url);
const read = (name) => Deno.readTextFileSync(new URL(name, runtime));
const loaded = { exports: {} };
new Function("module", "exports", "require", "process", "__filename", "__dirname", read("vendor/typescript.min.txt"))(
  loaded,
  loaded.exports,
  undefined,
  undefined,
  "/typescript.js",
  "/",
);
const ts = loaded.exports;

const NAME = "/tools/tools.d.ts";
const files = new Map([["/globals.d.ts", read("globals.d.ts")]]);
for (const [name, text] of Object.entries(JSON.parse(read("vendor/libs.json")))) files.set("/lib/" + name, text);
let version = 0;
const service = ts.createLanguageService({
  getCompilationSettings: () => ({ target: ts.ScriptTarget.ESNext, lib: ["lib.esnext.d.ts"], types: [], strict: true }),
  getCurrentDirectory: () => "/",
  getDefaultLibFileName: () => "/lib/lib.esnext.d.ts",
  getScriptFileNames: () => [...files.keys()],
  getScriptVersion: (name) => (name === NAME ? String(version) : "0"),
  getScriptSnapshot: (name) => files.has(name) ? ts.ScriptSnapshot.fromString(files.get(name)) : undefined,
  fileExists: (name) => files.has(name),
  readFile: (name) => files.get(name),
});

const messages = (text) => {
  files.set(NAME, text || " ");
  version++;
  return [...service.getSyntacticDiagnostics(NAME), ...service.getSemanticDiagnostics(NAME)].map((d) => {
    const { line } = ts.getLineAndCharacterOfPosition(d.file, d.start);
    return `${line + 1} ${ts.flattenDiagnosticMessageText(d.messageText, "\n")}`;
  });
};

let rest = "";
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop();
  for (const line of lines) console.log(JSON.stringify(messages(JSON.parse(line))));
}

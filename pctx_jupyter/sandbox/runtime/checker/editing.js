// @ts-check
/**
 * What an editor asks while a program is written: completions, hovers and the parameters of a call.
 */

import { ts } from "./compiler.js";
import { documentLibraries } from "./files.js";
import { open, TYPED } from "./sessions.js";

/** Completions an answer holds. */
const MAX_ITEMS = 200;

/** Completions that have their types and descriptions: a list shows few of them at a time. */
const MAX_DETAILED = 50;

/** Characters of one type. */
const MAX_DETAIL = 200;

/** @param {any} params */
export function complete(params) {
  const service = open(params.session).update(params), { code, offset } = params;
  let start = offset;
  while (start > 0 && /[\p{ID_Continue}$\u200c\u200d]/u.test(code[start - 1])) start--;
  const wanted = { includeCompletionsWithInsertText: true, includeSymbol: true };
  const answer = service.getCompletionsAtPosition(TYPED, offset, wanted);
  const span = answer?.optionalReplacementSpan;
  if (span !== undefined) start = span.start;
  const typed = code.slice(start, offset).replace(/^["'`]/, "").toLowerCase();
  const fitting = (answer?.entries ?? []).filter((/** @type {any} */ e) => e.name.toLowerCase().startsWith(typed));
  // As editors sort; and of a tool's two spellings, which are an alias of each other, the one that is shown elsewhere.
  const rank = (/** @type {any} */ e) => e.sortText + (e.kind === "alias" ? "2" : "1") + e.name;
  fitting.sort((/** @type {any} */ a, /** @type {any} */ b) => rank(a) < rank(b) ? -1 : 1);
  return {
    start,
    length: span === undefined ? offset - start : Math.max(span.length, offset - start),
    items: fitting.slice(0, MAX_ITEMS).map((/** @type {any} */ e, /** @type {number} */ i) => ({
      name: e.name,
      kind: e.kind,
      ...(i < MAX_DETAILED && e.symbol !== undefined ? details(service.getProgram(), e.symbol) : {}),
    })),
  };
}

/**
 * The type of a name and its description: `(args: { status: string }) → Order[]` of a function, whose result is what
 * `await` gives; `number, optional` of a field.
 *
 * @param {any} program
 * @param {any} named
 */
function details(program, named) {
  const checker = program.getTypeChecker(), source = program.getSourceFile(TYPED);
  const symbol = (named.flags & ts.SymbolFlags.Alias) === 0 ? named : checker.getAliasedSymbol(named);
  const docs = ts.displayPartsToString(symbol.getDocumentationComment(checker));
  const { Value, Module, Class, Enum, Optional } = ts.SymbolFlags;
  if ((symbol.flags & Value) === 0 || (symbol.flags & (Module | Class | Enum)) !== 0) return { docs };
  const show = (/** @type {any} */ type) =>
    checker.typeToString(type, source, ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope);
  const type = checker.getTypeOfSymbolAtLocation(symbol, source);
  const [call] = type.getCallSignatures();
  let detail;
  if (call !== undefined) {
    const taken = call.parameters.map((/** @type {any} */ one) => {
      const at = one.valueDeclaration;
      const mark = at?.dotDotDotToken === undefined ? "" : "...";
      const isOptional = at !== undefined && ts.isParameter(at) && checker.isOptionalParameter(at) && mark === "";
      const text = show(checker.getTypeOfSymbolAtLocation(one, source));
      return `${mark}${one.name}${isOptional ? "?" : ""}: ${isOptional ? text.replace(/ \| undefined$/, "") : text}`;
    });
    const result = checker.getReturnTypeOfSignature(call);
    detail = `(${taken.join(", ")}) → ${show(checker.getAwaitedType(result) ?? result)}`;
  } else {
    const isOptional = (symbol.flags & Optional) !== 0, text = show(type);
    detail = isOptional ? `${text.replace(/ \| undefined$/, "")}, optional` : text;
  }
  if (detail.startsWith("typeof ")) return { docs };
  return { docs, detail: detail.length > MAX_DETAIL ? `${detail.slice(0, MAX_DETAIL)}…` : detail };
}

/** @param {any} params */
export function hover(params) {
  documentLibraries();
  const service = open(params.session).update(params);
  const info = service.getQuickInfoAtPosition(TYPED, params.offset);
  if (info === undefined) return [];
  return [{
    start: info.textSpan.start,
    length: info.textSpan.length,
    text: ts.displayPartsToString(info.displayParts),
    docs: docs(info),
  }];
}

/** @param {any} params */
export function signature(params) {
  documentLibraries();
  const service = open(params.session).update(params);
  const help = service.getSignatureHelpItems(TYPED, params.offset, undefined);
  if (help === undefined) return [];
  const show = ts.displayPartsToString;
  return [{
    signatures: help.items.map((/** @type {any} */ item) => ({
      text: show(item.prefixDisplayParts) +
        item.parameters.map((/** @type {any} */ p) => show(p.displayParts)).join(show(item.separatorDisplayParts)) +
        show(item.suffixDisplayParts),
      docs: docs(item),
      parameters: item.parameters.map((/** @type {any} */ p) => ({ text: show(p.displayParts), docs: docs(p) })),
    })),
    signature: help.selectedItemIndex,
    parameter: help.argumentIndex,
  }];
}

/** A description and its tags, as text. @param {any} item */
function docs(item) {
  const tags = (item.tags ?? []).map((/** @type {any} */ tag) =>
    `@${tag.name} ${ts.displayPartsToString(tag.text ?? [])}`.trim()
  );
  return [ts.displayPartsToString(item.documentation ?? []), ...tags].filter((line) => line !== "").join("\n");
}

"""Names: how what was registered is spelled in TypeScript, and which names cannot be.

A namespace becomes PascalCase, a tool camelCase; a program may use the registered spelling too. Everything
here is a function of the name alone: whether two names meet is the catalog's business.

Words end where a character cannot stand in an ECMAScript identifier, at an underscore, before a capital that
follows a small letter (``getUser``), and before the last capital of a run that goes on (``HTTPServer``).
Python's identifiers are a subset of ECMAScript's in every Unicode version, so what passes here passes there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from ..errors import InvalidParams
from ..visible import TURNING


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NONE: Mapping[str, str] = MappingProxyType({})

LONGEST = 128
"""Characters of a registered name; longer ones are refused."""

SPELLED = 4_096
"""Names of namespaces whose spelling is kept; every tool of a namespace needs it."""

DEFAULT_NAMESPACE = "Tools"
"""The namespace of tools that are registered without one."""

UNAWAITABLE = frozenset({"then", "toJSON"})
"""Names a namespace must not have: ``await Sales`` would call ``then``, printing it ``toJSON``."""

UNUSABLE = frozenset(
    {"CALLABLE_TOOLS", "Deno", "Infinity", "NaN", "console", "globalThis", "list_functions", "self", "undefined"}
)
"""Globals no tool and no input may replace: JavaScript's constants, the program's console and its helpers."""

RESERVED = _set(
    """
    await break case catch class const continue debugger default delete do else enum export extends
    false finally for function if implements import in instanceof interface let new null package private
    protected public return static super switch this throw true try typeof var void while with yield
    """
)
"""Words that are no identifier in a module (they are strict). As a property, after a dot, each is fine."""

CONSTRUCTORS = _set(
    """
    AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array BigUint64Array Boolean
    DataView Date DisposableStack Error EvalError FinalizationRegistry Float16Array Float32Array
    Float64Array Function Int16Array Int32Array Int8Array Iterator Map Number Object Promise Proxy
    RangeError ReferenceError RegExp Set SharedArrayBuffer String SuppressedError Symbol SyntaxError
    TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet
    """
)
"""ECMAScript's constructors: TypeScript declares each as ``declare var Date: DateConstructor``."""

OBJECTS = frozenset({"Atomics", "JSON", "Math"})
"""ECMAScript's plain objects: TypeScript declares each as ``declare var Math: Math``."""

NAMESPACES = frozenset({"Intl", "Reflect", "Temporal"})
"""ECMAScript's objects that TypeScript declares as namespaces."""

FUNCTIONS = _set(
    """
    decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval isFinite isNaN parseFloat
    parseInt unescape
    """
)
"""ECMAScript's global functions."""

WEB = _set(
    """
    AbortController AbortSignal Blob Crypto CryptoKey CustomEvent DOMException Event EventTarget Performance
    SubtleCrypto TextDecoder TextEncoder URL URLPattern URLSearchParams atob btoa clearInterval clearTimeout
    crypto performance queueMicrotask setInterval setTimeout structuredClone
    """
)
"""What a sandbox has of the web platform's globals."""

GLOBALS = CONSTRUCTORS | OBJECTS | NAMESPACES | FUNCTIONS | WEB
"""Names that have a meaning in every program; a namespace of such a name extends what is there."""

_MEMBERS = {
    "AbortSignal": _set("abort any timeout"),
    "Array": _set("from fromAsync isArray of"),
    "ArrayBuffer": _set("isView"),
    "Atomics": _set(
        """
        add and compareExchange exchange isLockFree load notify or pause store sub wait waitAsync
        xor
        """
    ),
    "BigInt": _set("asIntN asUintN"),
    "Crypto": _set("create registerSymbols"),
    "CryptoKey": _set("exportNodeMaterial fromCloneData importSync"),
    "CustomEvent": _set("AT_TARGET BUBBLING_PHASE CAPTURING_PHASE NONE"),
    "DOMException": _set(
        """
        ABORT_ERR DATA_CLONE_ERR DOMSTRING_SIZE_ERR HIERARCHY_REQUEST_ERR INDEX_SIZE_ERR
        INUSE_ATTRIBUTE_ERR INVALID_ACCESS_ERR INVALID_CHARACTER_ERR INVALID_MODIFICATION_ERR
        INVALID_NODE_TYPE_ERR INVALID_STATE_ERR NAMESPACE_ERR NETWORK_ERR NOT_FOUND_ERR
        NOT_SUPPORTED_ERR NO_DATA_ALLOWED_ERR NO_MODIFICATION_ALLOWED_ERR QUOTA_EXCEEDED_ERR
        SECURITY_ERR SYNTAX_ERR TIMEOUT_ERR TYPE_MISMATCH_ERR URL_MISMATCH_ERR VALIDATION_ERR
        WRONG_DOCUMENT_ERR
        """
    ),
    "Date": _set("UTC now parse"),
    "Event": _set("AT_TARGET BUBBLING_PHASE CAPTURING_PHASE NONE"),
    "Intl": _set(
        """
        Collator DateTimeFormat DisplayNames DurationFormat ListFormat Locale NumberFormat
        PluralRules RelativeTimeFormat Segmenter getCanonicalLocales supportedValuesOf
        """
    ),
    "Iterator": _set("concat from"),
    "JSON": _set("isRawJSON parse rawJSON stringify"),
    "Map": _set("groupBy"),
    "Math": _set(
        """
        E LN10 LN2 LOG10E LOG2E PI SQRT1_2 SQRT2 abs acos acosh asin asinh atan atan2 atanh cbrt
        ceil clz32 cos cosh exp expm1 f16round floor fround hypot imul log log10 log1p log2 max min
        pow random round sign sin sinh sqrt sumPrecise tan tanh trunc
        """
    ),
    "Number": _set(
        """
        EPSILON MAX_SAFE_INTEGER MAX_VALUE MIN_SAFE_INTEGER MIN_VALUE NEGATIVE_INFINITY NaN
        POSITIVE_INFINITY isFinite isInteger isNaN isSafeInteger parseFloat parseInt
        """
    ),
    "Object": _set(
        """
        assign create defineProperties defineProperty entries freeze fromEntries
        getOwnPropertyDescriptor getOwnPropertyDescriptors getOwnPropertyNames getOwnPropertySymbols
        getPrototypeOf groupBy hasOwn is isExtensible isFrozen isSealed keys preventExtensions seal
        setPrototypeOf values
        """
    ),
    "Promise": _set("all allSettled any race reject resolve try withResolvers"),
    "Proxy": _set("revocable"),
    "Reflect": _set(
        """
        apply construct defineProperty deleteProperty get getOwnPropertyDescriptor getPrototypeOf
        has isExtensible ownKeys preventExtensions set setPrototypeOf
        """
    ),
    "RegExp": _set("$1 $2 $3 $4 $5 $6 $7 $8 $9 $_ escape input lastMatch lastParen leftContext rightContext"),
    "String": _set("fromCharCode fromCodePoint raw"),
    "SubtleCrypto": _set("create supports"),
    "Symbol": _set(
        """
        asyncDispose asyncIterator dispose for hasInstance isConcatSpreadable iterator keyFor match
        matchAll metadata replace search species split toPrimitive toStringTag unscopables
        """
    ),
    "Temporal": _set(
        """
        Duration Instant Now PlainDate PlainDateTime PlainMonthDay PlainTime PlainYearMonth
        ZonedDateTime
        """
    ),
    "URL": _set("canParse createObjectURL parse revokeObjectURL"),
    "Uint8Array": _set("fromBase64 fromHex"),
    "crypto": _set("getRandomValues randomUUID subtle"),
    "performance": _set(
        """
        addEventListener clearMarks clearMeasures clearResourceTimings dispatchEvent getEntries
        getEntriesByName getEntriesByType getParent mark measure now removeEventListener
        setResourceTimingBufferSize timeOrigin
        """
    ),
}
"""What globals have themselves, besides what they inherit; a test compares it with a sandbox."""

_OF_OBJECTS = _set(
    """
    __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__ constructor hasOwnProperty
    isPrototypeOf propertyIsEnumerable toJSON toLocaleString toString valueOf
    """
)
"""What every global object inherits, and ``toJSON``, by which values are written."""

_OF_FUNCTIONS = _OF_OBJECTS | _set("apply arguments bind call caller length name prototype")
"""What every global function inherits, or has."""

_OF_ERRORS = _set("captureStackTrace isError prepareStackTrace stackTraceLimit")
_OF_TYPED_ARRAYS = _set("BYTES_PER_ELEMENT from of")


@lru_cache(SPELLED)
def namespace_name(registered: str) -> str:
    """Spell a namespace in PascalCase: ``sales report`` is ``SalesReport``.

    Returns:
        A name that can stand alone in a program, such as ``SalesReport`` in ``SalesReport.loadOrders()``.

    Raises:
        InvalidParams: The name is empty, too long, has control characters, or belongs to JavaScript or to us.
    """
    _check("namespace", registered)
    name = _identifier(registered, "".join(map(_capitalized, _words(registered))))
    for spelling in (registered, name):
        if spelling in UNUSABLE:
            raise InvalidParams(
                f"Cannot name a namespace {_quoted(registered)}: {spelling} already has a meaning in every "
                f"program; choose another name, such as {spelling}_tools"
            )
    return name


def tool_name(registered: str) -> str:
    """Spell a tool in camelCase: ``load_orders`` is ``loadOrders``.

    ``then`` and ``toJSON`` get a trailing underscore, or JavaScript would call them on its own account.

    Returns:
        A name that can stand after a dot; it may be a reserved word, as in ``Cart.delete()``.

    Raises:
        InvalidParams: The name is empty, too long, or has control characters.
    """
    _check("tool", registered)
    if registered in UNAWAITABLE:
        return registered + "_"
    words = list(_words(registered))
    name = _identifier(registered, "".join([*map(str.lower, words[:1]), *map(_capitalized, words[1:])]))
    return name + "_" if name in UNAWAITABLE else name


def distinct_tool_names(registered: Iterable[str], before: Mapping[str, str] = _NONE) -> dict[str, str]:
    """Spell tools of one namespace so that no two are the same: ``get_user`` beside ``getUser`` is ``getUser2``.

    A name that is spelled as it was registered stays. The others get numbers in the order of their registered names,
    whatever the order in which they are listed. None is spelled as another one was registered.

    Args:
        registered: The names.
        before: How some of them are spelled already; they keep that where they can.

    Returns:
        The spelling of each registered name.
    """
    listed = sorted(registered, key=lambda name: (name not in before, name))
    spelled: dict[str, str] = {}
    taken = set(listed)
    for name in listed:
        wanted = tool_name(name)
        free, number = before.get(name, wanted), 1
        while free != name and free in taken:
            number += 1
            free = f"{wanted}{number}"
        taken.add(free)
        spelled[name] = free
    return spelled


def type_name(hint: str) -> str:
    """Spell a type after a schema's title or place; always an identifier, of at most about 60 characters.

    The name of a class stays as it is (``HTTPError``); ``acme.models.Order-Input`` is ``AcmeModelsOrderInput``.
    """
    hint = hint[:60]
    if hint[:1].isupper() and "_" not in hint and is_identifier(hint):
        return hint
    joined = "".join(map(_capitalized, _words(hint))) or "Type"
    return joined if is_identifier(joined) else "_" + joined


def check_input_name(name: str) -> None:
    """Refuse a name that a constant passed into a program cannot have.

    Raises:
        InvalidParams: It is no identifier, is reserved, or belongs to JavaScript or to us.
    """
    _check("input", name)
    if not is_identifier(name):
        state, way_out = "it is no identifier", "use letters, digits and _, and no digit first"
    elif name in RESERVED or name == "arguments":
        state, way_out = "the word is reserved", f"choose another name, such as {name}_"
    elif name in UNUSABLE or name in GLOBALS:
        state, way_out = (
            "it already has a meaning in every program",
            f"choose another name, such as my_{name}",
        )
    else:
        return
    raise InvalidParams(f"Cannot pass an input named {_quoted(name)}: {state}; {way_out}")


def is_identifier(text: str) -> bool:
    """Is this an ECMAScript identifier name: good after a dot, and unquoted as a property?"""
    return text.replace("$", "_").isidentifier()


def is_bare(text: str) -> bool:
    """Can this stand alone in a module, as a variable's name does?"""
    return is_identifier(text) and text not in RESERVED


def is_taken(namespace: str, tool: str) -> bool:
    """Is this a property that JavaScript has, such as ``Math.floor`` or ``Date.toString``?

    A tool in its place would change what every program, and the standard library in it, means by it.
    """
    if namespace not in GLOBALS:
        return False
    is_object = namespace in OBJECTS or namespace in NAMESPACES or namespace in ("crypto", "performance")
    return (
        tool in (_OF_OBJECTS if is_object else _OF_FUNCTIONS)
        or tool in _MEMBERS.get(namespace, ())
        or (namespace.endswith("Error") and tool in _OF_ERRORS)
        or (namespace.endswith("Array") and namespace != "Array" and tool in _OF_TYPED_ARRAYS)
    )


def _check(kind: Literal["namespace", "tool", "input"], registered: str) -> None:
    action = f"Cannot pass an {kind} named" if kind == "input" else f"Cannot name a {kind}"
    action = f"{action} {_quoted(registered)}"
    if not 1 <= len(registered) <= LONGEST:
        raise InvalidParams(f"{action}: it has {len(registered):,} characters; use 1 to {LONGEST}")
    if not registered.isascii() or not registered.isprintable():
        for character in registered:
            # Cc: control; Cs: half a surrogate pair; Zl and Zp: line and paragraph separator.
            # What turns text makes a name another one than it seems.
            if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in TURNING:
                raise InvalidParams(f"{action}: it contains the control character U+{ord(character):04X}; leave it out")


def _words(registered: str) -> Iterator[str]:
    """The words of a name, in order, as they are spelled."""
    text = unicodedata.normalize("NFC", registered)
    piece = ""
    for character in [*text, "_"]:
        if character != "_" and is_identifier("a" + character) and unicodedata.category(character) != "Pc":
            piece += character
        elif piece:
            yield from _humps(piece)
            piece = ""


def _humps(piece: str) -> Iterator[str]:
    """``getURLParts2`` is ``get``, ``URL``, ``Parts2``; a digit goes with what is before it."""
    start, small = 0, False
    for at, character in enumerate(piece):
        if small and character.isupper():
            yield piece[start:at]
            start = at
        elif character.islower() and at - start > 1 and piece[at - 1].isupper() and _ends_upper(piece[start : at - 1]):
            yield piece[start : at - 1]
            start = at - 1
        small = character.islower() or (small and not character.isupper())
    yield piece[start:]


def _ends_upper(text: str) -> bool:
    """Is the last cased character a capital?"""
    return next((character.isupper() for character in reversed(text) if character.lower() != character.upper()), False)


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:].lower()


def _identifier(registered: str, joined: str) -> str:
    """Make an identifier of the joined words, with the underscores around the registered name."""
    bare = registered.strip("_")
    if not bare:
        return registered
    if not joined:
        joined = "_".join(f"u{ord(character):x}" for character in bare)
    head = registered[: len(registered) - len(registered.lstrip("_"))]
    tail = registered[len(registered.rstrip("_")) :]
    name = head + joined + tail
    return name if is_identifier(name) else "_" + name


def _quoted(registered: str) -> str:
    """The name as it may appear in a message: short, and on one line."""
    shown = registered if len(registered) <= 40 else registered[:40] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown) + '"'

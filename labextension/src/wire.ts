// Written by `make api`, from openapi.yaml: change the structs, or api.yaml.

/** The types of the server's REST API, as they are on the wire. */

/**
 * Parameters of `add_upstream`, and the body of `POST pctx/api/upstreams`. `server` is an entry as in
 * `pctx.json`; with `persist` it is written there, else it lasts as long as the engine.
 */
export interface AddUpstream {
  /** As in `pctx.json`: `{name, url, auth?}` or `{name, command, args?, env?}`. */
  server: Record<string, unknown>;
  /** Whether it is written to the file, or kept for as long as the server runs. */
  persist?: boolean;
}

/** Result of an answer. */
export interface Answered {
  answered?: boolean;
}

/**
 * Every error of the session API. The HTTP reason phrase has the message too, because clients show
 * only that.
 */
export interface ApiError {
  code: 'execution' | 'internal' | 'invalid_session';
  message: string;
  details: string | null;
}

/**
 * One argument that does not fit: `field` is its place, such as `to` or `orders[0].id`; empty: all of
 * them.
 */
export interface ArgumentProblem {
  field: string;
  message: string;
}

/**
 * The arguments that a call has to have and does not: names as an object has them, without values.
 * They can be added at an offset, between the texts `before` and `after`.
 */
export interface ArgumentsToAdd {
  at: number;
  names: string[];
  before: string;
  after: string;
}

/**
 * What an MCP server asks a person while it serves a call. All of it is the server's text. `schema` is
 * a JSON Schema of an object with plain fields, to be filled in; without it, the person is asked to
 * open `url`, which nothing opens by itself. `secrets` names fields that seem to ask for secrets,
 * which the protocol forbids: the server gets what is typed. `others` are tools whose calls the
 * question may be about as well.
 */
export interface AskedForm {
  server: string;
  message: string;
  schema?: Record<string, unknown>;
  url?: string;
  secrets?: string[];
  others?: string[];
}

/** Body of `diagnostics`. */
export interface AskedOfCell {
  /** A cell, or a program alone. The options in its `%%pctx` line count. */
  source: string;
  /** Names of constants that the program finds, besides those in its `%%pctx` line. */
  inputs?: string[];
  kernel_id?: string;
  session_id?: string;
}

/** Body of `complete`, `hover` and `signature`. */
export interface AskedOfPlace {
  source: string;
  inputs?: string[];
  kernel_id?: string;
  session_id?: string;
  offset: number;
}

/** Body of `format`. */
export interface AskedOfText {
  /** A cell, or a program alone. */
  source: string;
}

/** Body of `execute-bash`. */
export interface BashCommand {
  command: string;
}

/** What a command of `execute-bash` printed, and its exit code. */
export interface BashResult {
  exit_code: number;
  stdout: string;
  stderr: string;
}

/**
 * One tool call. `ended_s` is absent while it runs; previews are the beginning of the JSON. `note` is
 * what delays it while it runs, and afterwards how its result has widened the observed type of the
 * tool. `decision` is there when the call was not simply let pass: who decided what about it
 * (`consent.Decision`). `decided_s` is the time of a person's decision, and `begun_s` the time at
 * which a tool began that waited for its turn. Before them the call waited: for a person, then for its
 * turn.
 */
export interface CallRecord {
  call: number;
  tool: string;
  started_s: number;
  ended_s?: number;
  arguments?: string;
  argument_bytes?: number;
  result?: string;
  result_bytes?: number;
  error?: string;
  note?: string;
  decision?: string;
  decided_s?: number;
  begun_s?: number;
}

/** One frame. */
export interface Changed {
  change: 'approvals' | 'executions' | 'handles' | 'hosts' | 'sessions' | 'tools' | 'upstreams';
}

/**
 * A tool that is not what it was when it was approved: its description then and now, each cut to a
 * page. `what` names what differs: `description`, `input schema`, `output schema`, `annotations`.
 * `differences` says it word for word, a line for each place, for all of them but the description.
 */
export interface ChangedTool {
  name: string;
  what: string[];
  /** The description that was approved. */
  was: string;
  now: string;
  /** What else differs, word for word: a line for each place. */
  differences?: string[];
}

/** The type check before the run; `message` says what is wrong, or why that is unknown. */
export interface CheckRecord {
  outcome: 'failed' | 'passed' | 'unchecked';
  duration_s: number;
  message?: string;
}

/** The arguments that do not fit the tool's schema; none: they can be passed. */
export interface CheckedArguments {
  problems: ArgumentProblem[];
}

/** What to paste where, so that an MCP client reaches this server; `text` holds the server's token. */
export interface ClientConfig {
  client: string;
  title: string;
  place: string;
  text: string;
}

/** One for each MCP client that is known. */
export interface ClientConfigs {
  clients: ClientConfig[];
}

/** Result of `complete`: what may replace the text from `start` to `end`, best first. */
export interface Completed {
  start: number;
  end: number;
  items: CompletionItem[];
}

/**
 * A text that fits. It is spelled as editors have it: `insertText`. `detail` is its type, as in
 * `(args: { id: number }) → Order` or `string, optional`. `arguments` are those that a call of this
 * tool has to have, as names in TypeScript; without them, the item is no tool.
 */
export interface CompletionItem {
  label: string;
  insertText: string;
  /** TypeScript's word for its kind (function, property, keyword, …), or `option`. */
  type: string;
  /** May be empty. */
  documentation: string;
  detail?: string;
  arguments?: string[] | null;
}

/** One piece of console output; `level` as in `result.Output`. */
export interface ConsoleLine {
  at_s: number;
  stream: 'stderr' | 'stdout';
  text: string;
  level?: 'debug' | 'warn';
}

/**
 * Body of an answer. `arguments` are passed in place of the program's own; of a question with a
 * `form`, they are the answer to it. `cancel` leaves the question undecided, and the call does not go
 * on. `always` allows this tool to the same askers, for as long as `lasts` of the question says;
 * `for_program` allows it to the program that calls, until it ends. `by` says where a person has
 * answered.
 */
export interface Decided {
  decision: 'allow' | 'cancel' | 'deny';
  arguments?: unknown;
  always?: boolean;
  for_program?: boolean;
  by?: 'jupyterlab' | 'terminal';
}

/** Result of `declarations`: TypeScript that declares the session's tools. */
export interface Declared {
  declarations: string;
}

/**
 * One function with its types. `input_type` is empty where it takes no arguments; `types` declares the
 * others.
 */
export interface DetailedFunction {
  namespace: string;
  name: string;
  description: string | null;
  input_type: string;
  output_type: string;
  types: string;
}

/** Result of `diagnostics`, in the order of the text. */
export interface Diagnosed {
  diagnostics: Underlined[];
}

/**
 * Body of a check: arguments that a person wants to pass in place of the program's. Without them, the
 * draft of an answer to a form is checked.
 */
export interface EditedArguments {
  arguments?: unknown;
}

/**
 * The state of the engine, for people: the fields of `sandbox`, `checker`, `upstreams` and `history`
 * may change. `executions` counts those that run now; `agent_states`, the states that agents keep
 * between their programs. `meter` has what all programs that have ended cost a model.
 */
export interface EngineStatus {
  version: string;
  sessions: number;
  tools: number;
  executions: number;
  sandbox: Record<string, unknown>;
  checker: Record<string, unknown>;
  /** Each MCP server's state by name, and `trouble`. */
  upstreams: Record<string, unknown>;
  meter: MeterTotal;
  agent_states?: number;
  history?: Record<string, unknown>;
}

/** Every error. */
export interface ErrorBody {
  message: string;
}

/** Why a program failed; line and column are 1-based, in its code. */
export interface ErrorRecord {
  name: string;
  message: string;
  line?: number;
  column?: number;
  frame?: string;
}

/**
 * One execution, in few words. `title` is its first line of code, `error` the beginning of what went
 * wrong, `agent` the name that an agent's client gives itself. `refused` is the decision that ended
 * it: `denied`, `unanswered` or `forbidden`; null: none did. `stopped_by` is what ended a stopped one;
 * null: it was not stopped. `called` is the number of calls of tools that notebooks offer, by the id
 * of the notebook's kernel. `ordinal` counts the executions of this server, from 1 on: where one is
 * missing, an execution is listed no longer. 0: it is unknown.
 */
export interface ExecutionState {
  id: string;
  title: string;
  asked_by: 'agent' | 'cell' | 'client' | 'notebook';
  notebook: string | null;
  kernel_id: string | null;
  state: 'failed' | 'ok' | 'running' | 'stopped';
  started_at: number;
  duration_s: number | null;
  calls: number;
  failed_calls: number;
  error: string | null;
  agent?: string;
  refused?: string | null;
  stopped_by?: 'caller' | 'connection' | 'kernel' | 'limit' | 'person' | 'sandbox' | null;
  called?: Record<string, unknown>;
  ordinal?: number;
}

/** The latest executions, the last one first. */
export interface Executions {
  executions: ExecutionState[];
}

/**
 * Result of `hover`: what the text from `start` to `end` is; `text` is null when nothing is known of
 * it. `text` ends with the `documentation`, if there is any.
 */
export interface Explained {
  /** Null when nothing is known of it. */
  text: string | null;
  /** The end of `text`; may be empty. */
  documentation: string;
  start: number;
  end: number;
}

/** Result of `signature`: the ways to call a function, and the current one; none outside of a call. */
export interface ExplainedCall {
  /** Empty outside of a call. */
  signatures: ExplainedSignature[];
  /** The index of the current one. */
  signature: number;
  /** The index of the current one. */
  parameter: number;
}

/** A parameter: its text within the signature. */
export interface ExplainedParameter {
  text: string;
  documentation: string;
}

/** One way to call a function. */
export interface ExplainedSignature {
  text: string;
  documentation: string;
  parameters: ExplainedParameter[];
}

/** Answer of `format`: the cell as it should look; None, and a sentence, where that is unknown. */
export interface Formatted {
  /** The cell as it should look. */
  source: string | null;
  /** Why it is unknown, when `source` is null. */
  message: string;
}

/** The functions that were asked for, as far as they exist. */
export interface FunctionDetails {
  functions: DetailedFunction[];
  code: string;
}

/** What the programs of a session can call; `code` declares it in TypeScript. */
export interface FunctionList {
  functions: ListedFunction[];
  code: string;
}

/** Body of `functions/details`: names such as `Sales.loadOrders`. */
export interface FunctionsWanted {
  functions: string[];
}

/** That pctx is there, and which version. */
export interface HealthReport {
  status: 'ok';
  version: string;
}

/**
 * An object that stays in a kernel, and that programs use by its handle. `label` is the tool that
 * returned it, or the variable. `kind` is `frame`, or another kind of handle. `shape` has rows and
 * columns, or the lengths of an array; nothing else has one. `size` is its bytes of memory, roughly.
 * `held` says what holds it: a `run`, the `session` for the constants in `names`, or `agents`: the
 * kernel, for agents and other notebooks. `whose` is the name of the agent or the notebook to which it
 * was handed over. `age_s` is the seconds since then, `left_s` those after which it leaves unless it
 * is used again; without it, time does not end it.
 */
export interface HeldHandle {
  id: string;
  label: string;
  kind: string;
  held: 'agents' | 'run' | 'session';
  shape?: number[];
  size?: number;
  names?: string[];
  whose?: string;
  age_s?: number;
  left_s?: number;
}

/** Result of `list_handles`: the objects that a kernel holds; `more` are not listed. */
export interface HeldHandles {
  handles: HeldHandle[];
  more?: number;
}

/**
 * One kernel, or a service: a client that is no kernel and offers its tools to others. `name` is the
 * namespace that others see, or the name of the service; `path` its notebook. A service's `kernel_id`
 * is its own id. `has_namesake`: another notebook has the same file name, so that only the path tells
 * them apart. `version` changes with its tools. A kernel that is not `connected` was, and may come
 * back. `tools` are only there where one kernel is asked for: 500 at most, the first of them number
 * `start`.
 */
export interface KernelState {
  kernel_id: string;
  name: string | null;
  path: string | null;
  connected: boolean;
  sharing: 'agents' | 'everyone' | 'nobody';
  tool_count: number;
  version: string;
  kind?: 'kernel' | 'service';
  has_namesake?: boolean;
  start?: number;
  tools?: ToolState[];
}

/** The kernels that are, or were, connected. */
export interface Kernels {
  kernels: KernelState[];
}

/** All upstreams, by name; `problems` are those of the files that configure them. */
export interface Listed {
  upstreams: Upstream[];
  /** What is wrong with the files that name servers. */
  problems: string[];
}

/** One function, under the names that programs call it by. */
export interface ListedFunction {
  namespace: string;
  name: string;
  description: string | null;
}

/** Tokens of one program, estimated: of the same calls one by one, and of the program. */
export interface Meter {
  plain: number;
  here: number;
}

/**
 * The programs of a session, or of an engine, and their tokens. What is read once for several counts
 * once.
 */
export interface MeterTotal {
  runs: number;
  plain: number;
  here: number;
}

/**
 * One run that has ended, in few words. `number` names it for people, `id` for the other routes.
 * `title` is its first line of code, and `error` the beginning of what went wrong. `tools` counts the
 * calls by tool. `has_failed`: it failed, or was stopped at a limit. `meter` is what it cost a model;
 * null where that was not counted yet.
 */
export interface PastRun {
  number: number;
  id: string;
  title: string;
  asked_by: 'agent' | 'cell' | 'client' | 'notebook';
  agent: string;
  notebook: string | null;
  state: 'failed' | 'ok' | 'running' | 'stopped';
  has_failed: boolean;
  started_at: number;
  duration_s: number;
  calls: number;
  failed_calls: number;
  tools: Record<string, unknown>;
  error: string | null;
  meter?: Meter | null;
}

/**
 * Past runs, the latest first. Where a history is not `is_kept`, there are none (`Pctx.history`).
 * `lost` of the server's runs could not be written; `trouble` says why, while that lasts.
 */
export interface PastRuns {
  runs: PastRun[];
  is_kept?: boolean;
  lost?: number;
  trouble?: string | null;
}

/**
 * A tool that is allowed without asking: its calls do not wait. `asked_by` says whose programs may
 * call it (`*`: anybody's), `notebook` which notebook's, where it is one notebook alone. `since` is in
 * seconds since 1970; 0: unknown. `lasts` as in a question. `server` is the MCP server that offers the
 * tool.
 */
export interface Permission {
  id: string;
  tool: string;
  asked_by: string[];
  since?: number;
  lasts?: 'session' | 'tool';
  server?: string;
  notebook?: string;
}

/** The tools that are allowed without asking, the oldest permission first. */
export interface Permissions {
  permissions: Permission[];
}

/**
 * A call that waits for a person's consent, or for an answer to what its MCP server asks. Where `form`
 * is there, the call has begun, and its server asks: `arguments` are a draft of the answer, to allow
 * is to send it, and to deny is to decline. `execution` is the id of its trace, `line` the 1-based
 * line of its program that calls, as its sandbox says. `code` is the program, or the part around that
 * line where `code_cut`; it begins with line `first_line`. `arguments` are their JSON, the beginning
 * of it where `is_cut`: then they cannot be edited. `left_s` are the seconds until it is denied.
 * `effects` says whether the tool changes something outside; null: that is unknown. `lasts` says how
 * long a consent for good lasts: `session` until the kernel of its notebook, or the server, ends;
 * `tool` until the tool changes. `places` says where a person can answer it. `agent` is the name that
 * the agent's client gives itself. `input_schema` is the tool's, for a form; it is left out where the
 * tool has none, or a large one.
 */
export interface Question {
  id: string;
  tool: string;
  description: string;
  asked_by: 'agent' | 'cell' | 'client' | 'notebook';
  notebook?: string;
  execution: string;
  code: string;
  first_line?: number;
  code_cut?: boolean;
  line?: number;
  arguments: string;
  argument_bytes: number;
  is_cut?: boolean;
  left_s?: number;
  effects?: boolean | null;
  lasts?: 'session' | 'tool';
  places?: ('client' | 'jupyterlab' | 'terminal')[];
  agent?: string;
  input_schema?: unknown;
  form?: AskedForm;
}

/** The calls that wait for a person's consent, the oldest first. */
export interface Questions {
  approvals: Question[];
}

/** Why an answer is refused whose arguments do not fit the tool's schema: the call waits as before. */
export interface RefusedArguments {
  message: string;
  problems: ArgumentProblem[];
}

/** Body of `register/servers`: entries as in `pctx.json`. */
export interface RegisterServers {
  servers: unknown[];
}

/** Body of `register/tools`: all of the tools are registered, or none. */
export interface RegisterTools {
  tools: RegisteredTool[];
}

/** One tool of `register/tools`. Without schemas, or with an empty one, its values are `any`. */
export interface RegisteredTool {
  name: string;
  namespace?: string | null;
  description?: string | null;
  input_schema?: unknown;
  output_schema?: unknown;
}

/**
 * Body of `approve` and `trust`: the `mark` of the server as a person has looked at it. With `tools`,
 * `trust` also allows all tools of the server for good.
 */
export interface Seen {
  /** The server's `mark` as somebody has looked at it; it fails if that is another now. */
  seen?: string | null;
  /** With `trust`: allow all of its tools for good, too, those it has or lists once it is connected. */
  tools?: boolean;
}

/** How many MCP servers can be called now, and which cannot; `errors` says why, by name. */
export interface ServersRegistered {
  registered: number;
  failed: string[];
  errors: Record<string, unknown>;
}

/** A session that is closed, now or before. */
export interface SessionClosed {
  success?: boolean;
}

/** A new session. */
export interface SessionOpened {
  session_id: string;
}

/**
 * Parameters of `share`: who else may see the session's tools; `everyone`: agents and other notebooks.
 * A client that is no kernel is seen by others only with a `name`, which people read. `instance` is a
 * random text by which such a client is known again on its next connection.
 */
export interface Share {
  to: 'agents' | 'everyone' | 'nobody';
  name?: string;
  instance?: string;
}

/** Where a person signs in to an upstream. */
export interface SignIn {
  /** The page to open. The MCP server chose it; show `host` first. */
  url: string;
  /** The page's host, with its port where the URL names one; in ASCII. */
  host: string;
  /** The host that is given what the page answers, where it is another one. */
  gets_code?: string;
}

/** Body of `sign-in`; with `answer`, the URL that the browser was sent to, it ends what began without. */
export interface SignInBody {
  answer?: string;
}

/** Result of `stop`. */
export interface Stopped {
  stopped?: boolean;
}

/** Result of `register_tool` and `unregister_tool`. */
export interface Success {
  success?: boolean;
}

/** Body of `upstream-test`: an entry as in `pctx.json`. */
export interface TestedEntry {
  server: Record<string, unknown>;
}

/**
 * One tool. `path` is its name in its own notebook, `shared_as` the one that others see, if they may
 * see it. `arguments` are those that a call has to have, as names in TypeScript.
 */
export interface ToolState {
  path: string;
  shared_as: string | null;
  signature: string;
  description: string;
  /** Whether it changes something outside; null: that is unknown. */
  effects: boolean | null;
  arguments: string[];
}

/**
 * The calls of one tool, those that `Trace.calls` leaves out among them. `ended` of them have ended:
 * they took `total_s` together, and the last one ended at `ended_s`. At most `most` were under way at
 * once.
 */
export interface ToolTally {
  tool: string;
  calls?: number;
  ended?: number;
  total_s?: number;
  ended_s?: number;
  most?: number;
}

/** How many tools were registered. */
export interface ToolsRegistered {
  registered: number;
}

/**
 * What is known of one execution. `notebook` is the name under which others see the notebook that ran
 * it, `kernel_id` that notebook's kernel. `agent` is the name that an agent's client gives itself.
 * `started_at` is in seconds since 1970. `calls_in_all` and `failed_calls` count what `calls` may
 * leave out, and so do `tools`, in the order of their first calls. At most `most_at_once` calls were
 * under way at once. Of code that is `code_cut`, only the beginning is there. `meter` says what it
 * cost a model, when it has ended.
 */
export interface Trace {
  id: string;
  code: string;
  asked_by: 'agent' | 'cell' | 'client' | 'notebook';
  notebook?: string;
  kernel_id?: string;
  state: 'failed' | 'ok' | 'running' | 'stopped';
  started_at: number;
  duration_s?: number;
  check?: CheckRecord;
  console?: ConsoleLine[];
  console_cut?: boolean;
  calls?: CallRecord[];
  calls_in_all?: number;
  failed_calls?: number;
  result?: string;
  result_bytes?: number;
  error?: ErrorRecord;
  code_cut?: boolean;
  agent?: string;
  stopped_by?: 'caller' | 'connection' | 'kernel' | 'limit' | 'person' | 'sandbox';
  tools?: ToolTally[];
  most_at_once?: number;
  meter?: Meter;
}

/**
 * What is wrong with the text between two offsets; `source` says who found it. `instead` is what was
 * probably meant in place of that text, ready to be put there. `absent` are the arguments that a call
 * does not have.
 */
export interface Underlined {
  from: number;
  to: number;
  severity: 'error' | 'warning';
  message: string;
  /** `pctx` */
  source: string;
  /** What was probably meant, to be put in place of the text; null when nobody knows. */
  instead?: string | null;
  absent?: ArgumentsToAdd | null;
}

/**
 * What is known of one MCP server; nothing in it is secret. `where` is its command, or its URL without
 * the query; `source` the file that configures it, null when it was added for as long as the engine
 * runs. `new` are tools it did not have when it was approved, `changed` those that differ from then:
 * they are withheld where `Pctx.changed_tools` is `withhold`. `allowed` are tools that are allowed
 * without asking. `functions` are those for its resources and prompts. `problems` says what else is
 * not as it should be, `error` why it is not ready, `retry_s` in how many seconds the next attempt to
 * connect follows by itself (null: none is planned). `log` holds the last lines that it wrote to
 * stderr or sent as log messages. `version` changes with the tools that can be called; `mark` with
 * anything that is approved or trusted: who says yes passes on the one they have looked at.
 */
export interface Upstream {
  name: string;
  /** Of its tools in programs. */
  namespace: string;
  transport: 'http' | 'sse' | 'stdio';
  /** Its command, or its URL without the query. */
  where: string;
  state: 'connecting' | 'down' | 'needs sign-in' | 'ready' | 'untrusted';
  /** The file that names it, or null: added by hand. */
  source?: string | null;
  /** Why it is not ready. */
  error?: string | null;
  tools?: number;
  functions?: string[];
  /** Tools it did not have when it was approved. */
  new?: string[];
  changed?: ChangedTool[];
  /** Changed tools that cannot be called. */
  withheld?: string[];
  /** Tools that are allowed without asking. */
  allowed?: string[];
  problems?: string[];
  /** What it calls itself. */
  server?: string | null;
  protocol?: string | null;
  /** Seconds until the next attempt to connect; null: none is planned. */
  retry_s?: number | null;
  /** The last lines that it wrote to stderr, or sent as log messages. */
  log?: string[];
  connections?: number;
  /** Changes with the tools that can be called. */
  version?: number;
  /** Changes with whatever is approved or trusted. */
  mark?: string;
}

/** One tool of a server; `name` is what the server calls it, and so do `new`, `changed` and `withheld`. */
export interface UpstreamTool {
  path: string;
  shared_as: string | null;
  signature: string;
  description: string;
  effects: boolean | null;
  arguments: string[];
  /** What the server calls it, and so do `new`, `changed` and `withheld`. */
  name: string;
}

/** The tools of one server that programs may call: 500 at most, the first of them number `start`. */
export interface UpstreamTools {
  name: string;
  version: number;
  tool_count: number;
  start: number;
  tools: UpstreamTool[];
}

// @ts-check
/**
 * A bash shell over files in memory, for agents that look for functions with `ls`, `cat` and `grep`.
 *
 * The build bundles this file with just-bash into `vendor/shell.min.txt`, and an ordinary sandbox evaluates that text. So
 * the shell has no permissions, and the limits of a program are its limits.
 */

import { Bash, InMemoryFs } from "just-bash/browser";

/** The folder that commands start in, and cannot change. */
const ROOT = "/sdk";

/** Commands that read, search and transform texts. What needs a network, a database, or another language is left out. */
const COMMANDS =
  ("alias awk base64 basename bash cat chmod clear column comm cp cut date diff dirname du echo egrep env expand expr false " +
    "fgrep file find fold grep head help join jq ln ls md5sum mkdir mv nl od paste printenv printf pwd readlink rev rg rm " +
    "rmdir sed seq sh sha1sum sha256sum sleep sort split stat strings tac tail tee time timeout touch tr tree true unalias " +
    "unexpand uniq wc which xargs").split(" ");

/** The sandbox limits time and memory. just-bash's own limits of steps would end commands that are only long. */
const UNLIMITED = Object.fromEntries(
  ("maxAwkIterations maxCommandCount maxGlobOperations maxJqIterations maxLoopIterations maxQueryElements " +
    "maxSedIterations maxTraversalEntries maxTraversalWork maxWorkUnits").split(" ").map((name) => [
      name,
      Number.MAX_SAFE_INTEGER,
    ]),
);

/** Files of which those below `ROOT` cannot be changed. Everything else can, and is gone with the sandbox. */
class Files extends InMemoryFs {
  /** @type {(path: string) => Promise<void>} */
  #demand = async () => {};

  /** Refuse changes below `ROOT` from now on. */
  seal() {
    this.#demand = async (path) => {
      const real = await this.#real(path);
      if (real === ROOT || real.startsWith(`${ROOT}/`) || real === "/") {
        throw new Error(`EROFS: read-only file system, open '${path}'`);
      }
    };
  }

  /** @param {string} path of something that may not exist @returns {Promise<string>} where it is, links followed */
  async #real(path) {
    const whole = this.resolvePath("/", path);
    try {
      return await this.realpath(whole);
    } catch {
      if (whole === "/") return whole;
      const cut = whole.lastIndexOf("/");
      const folder = await this.#real(whole.slice(0, cut) || "/");
      return `${folder === "/" ? "" : folder}/${whole.slice(cut + 1)}`;
    }
  }

  /** @param {any} path @param {any[]} rest */
  async writeFile(path, ...rest) {
    await this.#demand(path);
    // @ts-ignore: passed on as they came
    return super.writeFile(path, ...rest);
  }
  /** @param {any} path @param {any[]} rest */
  async appendFile(path, ...rest) {
    await this.#demand(path);
    // @ts-ignore: passed on as they came
    return super.appendFile(path, ...rest);
  }
  /** @param {any} path @param {any[]} rest */
  async mkdir(path, ...rest) {
    await this.#demand(path);
    return super.mkdir(path, ...rest);
  }
  /** @param {any} path @param {any[]} rest */
  async rm(path, ...rest) {
    await this.#demand(path);
    return super.rm(path, ...rest);
  }
  /** @param {any} source @param {any} path @param {any[]} rest */
  async cp(source, path, ...rest) {
    await this.#demand(path);
    return super.cp(source, path, ...rest);
  }
  /** @param {any} source @param {any} path */
  async mv(source, path) {
    await this.#demand(source);
    await this.#demand(path);
    return super.mv(source, path);
  }
  /** @param {any} path @param {any} mode */
  async chmod(path, mode) {
    await this.#demand(path);
    return super.chmod(path, mode);
  }
  /** @param {any} target @param {any} path */
  async symlink(target, path) {
    await this.#demand(path);
    return super.symlink(target, path);
  }
  /** @param {any} existing @param {any} path */
  async link(existing, path) {
    await this.#demand(existing); // a second name would be a way to write
    await this.#demand(path);
    return super.link(existing, path);
  }
  /** @param {any} path @param {any[]} rest */
  async utimes(path, ...rest) {
    await this.#demand(path);
    // @ts-ignore: passed on as they came
    return super.utimes(path, ...rest);
  }
}

/** @param {string} text @param {number} most bytes @returns {string} as much of it as they hold, with a note if it is cut */
function cut(text, most) {
  if (text.length * 3 <= most) return text;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= most) return text;
  const kept = new TextDecoder().decode(bytes.subarray(0, most)).replace(/\ufffd$/, "");
  return `${kept}\n\u2026 output cut after ${most} bytes (max_output_bytes)\n`;
}

/** @param {string} stderr @returns {string} without advice to someone who installs just-bash */
function plain(stderr) {
  return stderr.replaceAll(/command not available in browser environments\. .* bundle\./g, "command not found")
    .replaceAll(/, increase executionLimits\.\w+/g, "");
}

/**
 * Run one command.
 *
 * @param {string} command @param {Record<string, string>} files by their paths below `ROOT` @param {number} most bytes of
 *   each of its outputs
 */
export async function run(command, files, most) {
  const fs = new Files(Object.fromEntries(Object.entries(files).map(([path, text]) => [`${ROOT}/${path}`, text])));
  const bash = new Bash({ fs, cwd: ROOT, commands: /** @type {any} */ (COMMANDS), executionLimits: UNLIMITED });
  await fs.mkdir("/tmp", { recursive: true });
  fs.seal();
  const done = await bash.exec(command, { rawScript: true });
  return { exit_code: done.exitCode, stdout: cut(done.stdout, most), stderr: cut(plain(done.stderr), most) };
}

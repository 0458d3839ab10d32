/** Requests the tools of kernels and of MCP servers, in parts, and again only when their version has changed. */

import type * as api from '../api';

type Lists<T> = ReadonlyMap<string, readonly T[]>;

export class ToolLists {
  readonly #source: Pick<typeof api, 'kernel' | 'upstream'>;
  #versions = new Map<string, string>();
  #offeredVersions = new Map<string, number>();

  constructor(source: Pick<typeof api, 'kernel' | 'upstream'>) {
    this.#source = source;
  }

  /** It may be another server, whose versions start again. */
  restart(): void {
    this.#offeredVersions.clear();
  }

  /**
   * Request the tools of kernels.
   *
   * @param known What is known, by a kernel's id.
   * @param tell Called with what is known now, after each kernel.
   */
  async ofKernels(
    kernels: readonly api.KernelState[],
    known: Lists<api.ToolState>,
    tell: (tools: Lists<api.ToolState>) => void
  ): Promise<void> {
    let lists = known;
    for (const { kernel_id: id, version, tool_count: count } of kernels) {
      if (this.#versions.get(id) === version) {
        continue;
      }
      const tools: api.ToolState[] = [];
      while (tools.length < count) {
        const part = await this.#source.kernel(id, tools.length);
        if (!part.tools?.length) {
          break; // there are fewer tools now; the next change reports it
        }
        tools.push(...part.tools);
      }
      this.#versions.set(id, version);
      lists = new Map([...lists, [id, tools]]);
      tell(lists);
    }
    const ids = new Set(kernels.map(kernel => kernel.kernel_id));
    if ([...lists.keys()].some(id => !ids.has(id))) {
      tell(only(lists, ids));
      this.#versions = only(this.#versions, ids);
    }
  }

  /**
   * Request the tools of MCP servers.
   *
   * @param isWanted Whether the tools of a server are shown.
   * @param known What is known, by a server's name.
   * @param tell Called with what is known now, after each server.
   */
  async ofServers(
    servers: readonly api.Upstream[],
    isWanted: (name: string) => boolean,
    known: Lists<api.UpstreamTool>,
    tell: (offered: Lists<api.UpstreamTool>) => void
  ): Promise<void> {
    let lists = known;
    for (const { name, version = 0, tools: count = 0, functions = [] } of servers) {
      if (!isWanted(name) || this.#offeredVersions.get(name) === version) {
        continue;
      }
      const tools: api.UpstreamTool[] = [];
      let total = count + functions.length; // functions for resources and prompts are listed with the tools
      while (tools.length < total) {
        const part = await this.#source.upstream(name, tools.length);
        if (part.version !== version || part.tools.length === 0) {
          break; // the tools have changed; the next change reports it
        }
        tools.push(...part.tools);
        total = part.tool_count;
      }
      if (tools.length === total) {
        this.#offeredVersions.set(name, version);
        lists = new Map([...lists, [name, tools]]);
        tell(lists);
      }
    }
    const names = new Set(servers.map(server => server.name));
    if ([...lists.keys()].some(name => !names.has(name))) {
      tell(only(lists, names));
      this.#offeredVersions = only(this.#offeredVersions, names);
    }
  }
}

function only<T>(map: ReadonlyMap<string, T>, keys: ReadonlySet<string>): Map<string, T> {
  return new Map([...map].filter(([key]) => keys.has(key)));
}

// The official TypeScript client, once: node call.mjs URL TOKEN TOOL ARGUMENTS → {names, result, progress} as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, token, name, given] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const client = new Client({ name: "smoke", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
const names = (await client.listTools()).tools.map((tool) => tool.name);
const progress = [];
const result = await client.callTool({ name, arguments: JSON.parse(given) }, undefined, {
  onprogress: ({ message }) => progress.push(message),
});
await client.close();
console.log(JSON.stringify({ names, result, progress }));

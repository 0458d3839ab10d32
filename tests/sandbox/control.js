// What a program could do if it got hold of all of Deno's permissions. Arguments: a file, a TCP port, a pid.
const [file, port, pid] = Deno.args;
const attempts = {
  read: () => Deno.readTextFileSync(file),
  import: async () => (await import(file, { with: { type: "text" } })).default,
  write: () => Deno.writeTextFileSync(file + ".new", "x"),
  list: () => Array.from(Deno.readDirSync("/etc")).length,
  execute: () => new Deno.Command("/bin/true").outputSync().code,
  connect: async () => (await Deno.connect({ port: +port })).close(),
  listen: () => Deno.listen({ port: 0 }).close(),
  signal: () => Deno.kill(+pid, "SIGCONT"),
  parent: () => Deno.kill(Deno.ppid, "SIGCONT"),
  maps: () => Deno.readTextFileSync(`/proc/${Deno.ppid}/maps`).length,
  root: () => Deno.readTextFileSync("/proc/self/root" + file),
  own: () => Deno.readTextFileSync("/proc/self/maps").length,
  environ: () => Deno.readTextFileSync(`/proc/${pid}/environ`).length,
};
const outcome = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    outcome[name] = "done";
  } catch (error) {
    outcome[name] = error.name;
  }
}
console.log(JSON.stringify(outcome));
await new Promise(() => setTimeout(() => {}, 1e6));

"""What programs may call: names, the catalog, its scope, and its declarations in TypeScript."""

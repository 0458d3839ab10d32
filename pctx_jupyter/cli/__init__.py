"""``jupyter pctx``: one module a family of commands. Arguments, then an engine or a client; no rule of the domain."""

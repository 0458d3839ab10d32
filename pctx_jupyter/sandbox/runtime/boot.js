import harness from "./runner.js" with { type: "text" };
(0, eval)('(async () => { "use strict";' + harness + "\n})()\n//# sourceURL=runner.js");

import runner from "./runner.js" with { type: "text" };
(0, eval)(runner);

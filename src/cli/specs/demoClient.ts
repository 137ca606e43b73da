import { commandSpec } from "../CommandSpec.js"

/** The demo's client, a process of its own. */
export const demoClient = commandSpec({
  name: "demo-client",
  summary: "Send the demo's load; its task comes on stdin.",
  examples: [],
  flags: {},
  hidden: true
})

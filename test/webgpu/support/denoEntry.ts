/** Deno's side: runs the contract and prints a line per test, then what it ran on. */
import { startWebWorker } from "../../../src/webgpu/WorkerLink.js"
import { runContract } from "./portableContract.js"

declare const Deno: { readonly args: ReadonlyArray<string>; readonly exit: (code: number) => never }

const [provider, lenet, noModel] = Deno.args as unknown as ["auto" | "webgpu" | "wasm", string, string]
const print = (value: unknown) => console.log(JSON.stringify(value))
const { provider: words } = await runContract({ provider, runtime: {}, lenet, noModel, startWorker: startWebWorker }, print)
print({ provider: words })
Deno.exit(0)

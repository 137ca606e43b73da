/**
 * The host worker. It begins with a `start` message. This part is small: it starts the workers that take long to start, then reads the rest of itself,
 * which is all of the scheduler, while they do.
 */
import { startDevice } from "../../DeviceStart.js"
import { KeptFiles } from "../../KeptFiles.js"
import type { FromHost, ToHost } from "../../Messages.js"
import type { WebWorker } from "../../../webgpu/WorkerLink.js"
import { linkOf } from "../../../webgpu/WorkerLink.js"
import type { Begun, Start } from "./hostMain.js"

const post = (message: FromHost): void => postMessage(message)
const waiting: Array<ToHost> = []
const kept = new KeptFiles()
let receive: (message: ToHost) => void = (message) => void waiting.push(message)

const begin = ({ provider, workers, world }: Start): Begun => {
  const device = world === "replay" ? undefined : startDevice({
    address: (path) => new URL(`/${path}`, location.origin).href,
    kept,
    startWorker: () => linkOf(new Worker(kept.addressOf(workers.glet), { type: "module", name: "glet" }) as unknown as WebWorker),
    provider
  })
  const newPlanner = (): Worker => new Worker(kept.addressOf(workers.planner), { type: "module", name: "planner" })
  let first: Worker | undefined = newPlanner()
  const startPlanner = (): Worker => {
    const planner = first ?? newPlanner()
    first = undefined
    return planner
  }
  return { device, startPlanner }
}

const start = async (message: Start): Promise<void> => {
  const begun = begin(message)
  const { run } = await import("./hostMain.js")
  receive = await run(message, begun, post)
  for (const early of waiting.splice(0)) receive(early)
  await kept.keep(Object.values(message.workers))
}

addEventListener("message", ({ data }: MessageEvent<ToHost>) => {
  if (data.kind === "start") start(data).catch((error: unknown) => post({ kind: "broken", detail: String(error) }))
  else receive(data)
})

/** The planning thread: answers one question after the other until it is ended. */
import { parentPort } from "node:worker_threads"
import type { PlanMessage } from "../../scheduler/PlanThread.js"
import { makeAnswering } from "../../scheduler/PlanThread.js"

const answer = makeAnswering()
parentPort?.on("message", (message: PlanMessage) => parentPort?.postMessage(answer(message)))

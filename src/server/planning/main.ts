/** The planning thread: answers one question after the other until it is ended. */
import { parentPort } from "node:worker_threads"
import type { PlanQuestion } from "../../scheduler/PlanThread.js"
import { answerQuestion } from "../../scheduler/PlanThread.js"

parentPort?.on("message", (question: PlanQuestion) => parentPort?.postMessage(answerQuestion(question)))

/** The planner worker: answers one task after the other. */
import type { Task } from "../../Messages.js"
import { answerTask } from "../../Tasks.js"

addEventListener("message", ({ data }: MessageEvent<{ readonly id: number; readonly task: Task }>) => {
  postMessage({ id: data.id, answer: answerTask(data.task) })
})

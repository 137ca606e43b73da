/** Planner workers as the host asks them. */
import * as Effect from "effect/Effect"
import type { TaskWorker } from "../../HostOptions.js"
import type { TaskAnswer } from "../../Messages.js"

export const startTaskWorkers = (start: () => Worker) => (): TaskWorker => {
  const worker = start()
  const waiting = new Map<number, (answer: TaskAnswer) => void>()
  let next = 0
  const end = (detail: string): void => {
    for (const answer of waiting.values()) answer({ kind: "failed", detail })
    waiting.clear()
  }
  worker.addEventListener("message", ({ data }: MessageEvent<{ readonly id: number; readonly answer: TaskAnswer }>) => {
    waiting.get(data.id)?.(data.answer)
    waiting.delete(data.id)
  })
  worker.addEventListener("error", (event) => end(event.message === "" ? "the planner worker could not be started" : event.message))
  return {
    ask: (task) =>
      Effect.async<TaskAnswer>((resume) => {
        const id = next++
        waiting.set(id, (answer) => resume(Effect.succeed(answer)))
        worker.postMessage({ id, task })
      }),
    close: () => {
      worker.terminate()
      end("the planner worker was ended")
    }
  }
}

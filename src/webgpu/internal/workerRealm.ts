/** One worker from its start to its end: requests with their replies, and how it ended. */
import type { GletOpenFailed } from "../../core/ExecutorError.js"
import { textOf } from "../../core/internal/loadFailure.js"
import type { StartWorker, WorkerLink } from "../WorkerLink.js"
import type { CompiledModule, WorkerReply, WorkerRequest, WorkerSetup } from "./protocol.js"

/** Why there is no worker, hence no glet. */
export interface Refusal {
  readonly reason: GletOpenFailed["reason"]
  readonly detail: string
}

/** A reply, or that none will come. */
export type Answer = Extract<WorkerReply, { readonly id: number }> | { readonly type: "exited"; readonly detail: string }
type Question = WorkerRequest extends infer R ? R extends { readonly id: number } ? Omit<R, "id"> : never : never

export class Realm {
  private readonly waiting = new Map<number, (answer: Answer) => void>()
  private idle: Array<() => void> = []
  private ids = 0
  private gone: string | undefined
  private settleExited: (detail: string) => void = () => undefined
  /** Settles when the worker is of no use any more, also when it was ended in order. */
  readonly exited = new Promise<string>((resolve) => this.settleExited = resolve)
  /** What it works with, for people. */
  detail = ""
  /** onnxruntime-web as it compiled it. */
  compiled: CompiledModule | undefined
  /** Something happened after which onnxruntime-web is not to be used there again. */
  spoilt = false

  private constructor(private readonly link: WorkerLink) {}

  /** A worker that is ready, or why there is none. It is started at once and told what to do when that is known; its time begins then. */
  static start(setup: WorkerSetup | Promise<WorkerSetup>, startWorker: StartWorker, timeoutMs: number): Promise<Realm | Refusal> {
    let link: WorkerLink
    try {
      link = startWorker()
    } catch (error) {
      return Promise.resolve({ reason: "spawn-failed", detail: textOf(error) })
    }
    const realm = new Realm(link)
    return new Promise((resolve) => {
      const refuse = (refusal: Refusal) => {
        clearTimeout(timer)
        realm.end(refusal.detail)
        resolve(refusal)
      }
      let timer: ReturnType<typeof setTimeout> | undefined
      void realm.exited.then((detail) => refuse({ reason: "spawn-failed", detail }))
      link.listen((message) => {
        const reply = message as WorkerReply
        switch (reply.type) {
          case "ready":
            realm.detail = reply.detail
            realm.compiled = reply.compiled
            clearTimeout(timer)
            return resolve(realm)
          case "unfit":
            return refuse({ reason: reply.reason, detail: reply.detail })
          case "lost":
            return realm.end(reply.detail)
          default:
            return realm.take(reply)
        }
      }, (detail) => realm.end(detail))
      void Promise.resolve(setup).then((known) => {
        if (realm.gone !== undefined) return
        timer = setTimeout(() => refuse({ reason: "start-timeout", detail: `the worker was not ready within ${timeoutMs} ms` }), timeoutMs)
        link.post(known, [])
      })
    })
  }

  /** Sends a request; `onAnswer` is called once, later. */
  send(question: Question, transfer: ReadonlyArray<ArrayBuffer>, onAnswer: (answer: Answer) => void): void {
    const { gone } = this
    if (gone !== undefined) return queueMicrotask(() => onAnswer({ type: "exited", detail: gone }))
    const id = ++this.ids
    this.waiting.set(id, onAnswer)
    this.link.post({ ...question, id }, transfer)
  }

  ask(question: Question, transfer: ReadonlyArray<ArrayBuffer> = []): Promise<Answer> {
    return new Promise((resolve) => this.send(question, transfer, resolve))
  }

  /** It works, and on nothing. */
  get isSpare(): boolean {
    return this.gone === undefined && !this.spoilt && this.waiting.size === 0
  }

  /** When nothing waits for a reply. */
  whenIdle(): Promise<void> {
    return this.waiting.size === 0 ? Promise.resolve() : new Promise((resolve) => this.idle.push(resolve))
  }

  /** Terminates the worker; whoever waits learns why. */
  end(detail: string): void {
    if (this.gone !== undefined) return
    this.gone = detail
    this.link.terminate()
    const waiting = [...this.waiting.values()]
    this.waiting.clear()
    this.settleExited(detail)
    queueMicrotask(() => {
      for (const onAnswer of waiting) onAnswer({ type: "exited", detail })
      for (const resume of this.idle.splice(0)) resume()
    })
  }

  private take(reply: Extract<WorkerReply, { readonly id: number }>): void {
    const onAnswer = this.waiting.get(reply.id)
    this.waiting.delete(reply.id)
    onAnswer?.(reply)
    if (this.waiting.size === 0) for (const resume of this.idle.splice(0)) resume()
  }
}

/**
 * The worker of a glet that was closed, kept for the next one to open. To start a worker means to start onnxruntime-web, which takes longer
 * than a small model does to load; models are measured one after the other on glets of their own, and a new plan closes and opens some.
 * One at most, and not for long: a WebAssembly heap never shrinks.
 */
import type { Refusal } from "./workerRealm.js"
import { Realm } from "./workerRealm.js"

const keepMs = 2000

export class SpareRealm {
  private kept: { readonly realm: Realm; readonly timer: ReturnType<typeof setTimeout> } | undefined
  private coming: Promise<Realm | Refusal> | undefined

  /** A worker that starts before a glet asks for it; it waits until one does. */
  expect(start: Promise<Realm | Refusal>): void {
    this.coming = start
  }

  async take(): Promise<Realm | undefined> {
    const { coming } = this
    if (coming === undefined) return this.takeKept()
    this.coming = undefined
    const realm = await coming
    // Why there is none, who starts another will learn.
    return realm instanceof Realm && realm.isSpare ? realm : undefined
  }

  private takeKept(): Realm | undefined {
    const { kept } = this
    if (kept === undefined) return undefined
    clearTimeout(kept.timer)
    this.kept = undefined
    return kept.realm
  }

  /** Without models, and in order. */
  give(realm: Realm): void {
    this.end()
    const forget = () => {
      if (this.kept?.realm === realm) this.end()
    }
    this.kept = { realm, timer: setTimeout(forget, keepMs) }
    // The device may be lost meanwhile.
    void realm.exited.then(forget)
  }

  end(): void {
    const why = "it was not needed any more"
    this.takeKept()?.end(why)
    void this.coming?.then((realm) => realm instanceof Realm && realm.end(why))
    this.coming = undefined
  }
}

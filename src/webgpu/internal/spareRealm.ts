/**
 * The worker of a glet that was closed, kept for the next one to open. To start a worker means to compile onnxruntime-web, which takes several
 * times as long as a small model does to load; models are measured one after the other on glets of their own, and a new plan closes and opens some.
 * One at most, and not for long: a WebAssembly heap never shrinks.
 */
import type { Realm } from "./workerRealm.js"

const keepMs = 2000

export class SpareRealm {
  private kept: { readonly realm: Realm; readonly timer: ReturnType<typeof setTimeout> } | undefined

  take(): Realm | undefined {
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
    this.take()?.end("it was not needed any more")
  }
}

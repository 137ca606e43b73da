/** What the page knows: the host's last words, as one value that components read. It changes at most once per picture. */
import gletFile from "../../webgpu/webgpu-worker.ts?worker-file"
import type { Comparison, Frame, FromHost, HostState, StoredProfile, ToHost, WorldName } from "../Messages.js"
import hostFile from "./workers/host.ts?worker-file"
import plannerFile from "./workers/planner.ts?worker-file"

export interface DigitAnswer {
  readonly id: number
  readonly output: Float32Array | undefined
  readonly problem: string
  readonly latencyMs: number
  readonly glet: string
  readonly batchItems: number
}

export interface View {
  readonly world: WorldName
  readonly state: HostState | undefined
  readonly frame: Frame | undefined
  readonly digit: DigitAnswer | undefined
  readonly compared: ReadonlyArray<Comparison>
  readonly comparing: { readonly done: number; readonly total: number } | undefined
  readonly broken: string
  /** The page has paused the traffic by itself. */
  readonly pausedSince: "hidden" | "alone" | undefined
}

/** Without a key or a pointer for so long nobody looks: a demo must not empty a battery. */
const aloneMs = 5 * 60_000

const profilesKey = "glet-dev/profiles"
const mostProfiles = 32

const readProfiles = (): ReadonlyArray<StoredProfile> => {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(profilesKey) ?? "[]")
    return Array.isArray(stored) ? (stored as ReadonlyArray<StoredProfile>) : []
  } catch {
    return []
  }
}

const keepProfile = (stored: StoredProfile): void => {
  const others = readProfiles().filter(({ gpuType, sha256 }) => gpuType !== stored.gpuType || sha256 !== stored.sha256)
  try {
    localStorage.setItem(profilesKey, JSON.stringify([...others, stored].slice(-mostProfiles)))
  } catch {
    // Without room the model is measured again at the next visit.
  }
}

export class Store {
  view: View
  /** Frames as they come, for what draws itself. */
  readonly onFrame = new Set<(frame: Frame) => void>()
  private worker: Worker | undefined
  private readonly listeners = new Set<() => void>()
  private scheduled = false

  constructor(world: WorldName, private planner: string, private readonly provider: "auto" | "webgpu" | "wasm") {
    this.view = { world, state: undefined, frame: undefined, digit: undefined, compared: [], comparing: undefined, broken: "", pausedSince: undefined }
    this.open(world, true)
    this.watchPeople()
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly send = (message: ToHost): void => {
    if (message.kind === "planner") this.planner = message.name
    if (message.kind === "traffic") this.change({ pausedSince: undefined })
    if (message.kind === "compare") this.change({ compared: [], comparing: { done: 0, total: 5 } })
    this.worker?.postMessage(message)
  }

  /** Ends the world and begins another. */
  open(world: WorldName, traffic = this.view.state?.traffic ?? true): void {
    this.worker?.terminate()
    const worker = new Worker(hostFile, { type: "module", name: `host-${world}` })
    this.worker = worker
    worker.addEventListener("message", ({ data }: MessageEvent<FromHost>) => {
      if (this.worker === worker) this.receive(data)
    })
    worker.addEventListener("error", (event) => this.change({ broken: event.message === "" ? "the scheduler's worker could not be started" : event.message }))
    this.view = { world, state: undefined, frame: undefined, digit: undefined, compared: [], comparing: undefined, broken: "", pausedSince: undefined }
    this.change({})
    this.send({ kind: "start", world, planner: this.planner, traffic, profiles: readProfiles(), provider: this.provider, workers: { planner: plannerFile, glet: gletFile } })
  }

  /** Sends nothing while the page is hidden, and stops when nobody has been there for long. */
  private watchPeople(): void {
    const pause = (why: "hidden" | "alone"): void => {
      if (this.view.state?.traffic !== true) return
      this.send({ kind: "traffic", on: false })
      this.change({ pausedSince: why })
    }
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") pause("hidden")
      else if (this.view.pausedSince === "hidden") this.send({ kind: "traffic", on: true })
    })
    let timer: ReturnType<typeof setTimeout> | undefined
    const seen = (): void => {
      clearTimeout(timer)
      timer = setTimeout(() => pause("alone"), aloneMs)
    }
    for (const event of ["pointerdown", "pointermove", "keydown", "wheel"]) addEventListener(event, seen, { passive: true })
    seen()
  }

  private receive(message: FromHost): void {
    switch (message.kind) {
      case "state":
        return this.change({ state: message })
      case "frame":
        for (const listener of this.onFrame) listener(message)
        return this.change({ frame: message })
      case "profiled":
        return keepProfile(message.stored)
      case "inferred":
        return this.change({ digit: message })
      case "compared":
        return this.change({
          compared: [...this.view.compared, message.row],
          comparing: message.done === message.total ? undefined : { done: message.done, total: message.total }
        })
      case "broken":
        return this.change({ broken: message.detail })
    }
  }

  private change(part: Partial<View>): void {
    this.view = { ...this.view, ...part }
    if (this.scheduled) return
    this.scheduled = true
    // Hidden pages draw nothing, and a frame's callback would wait until they are seen again; that is right.
    requestAnimationFrame(() => {
      this.scheduled = false
      for (const listener of this.listeners) listener()
    })
  }
}

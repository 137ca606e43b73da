/**
 * A GPU made of this machine's memory, for the logic above the driver. Streams are queues that are worked off when someone asks for an event, in
 * an order drawn from a seed: whatever the engine forgets to wait for comes out as wrong data. Sessions run on the CPU, in their stream's turn.
 */
import type { CudaDevice, CudaDriver, GreenContext, Handle } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { CaptureGate } from "../../../src/node-cuda/runner/cuda/CaptureGate.js"
import { CudaError, getU64 } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import type { CudaRuntime } from "../../../src/node-cuda/runner/cuda/CudaRuntime.js"
import { loadKoffi } from "../../../src/node-cuda/internal/native.js"
import { makeRandom } from "../../../src/core/internal/random.js"
import type { Ort } from "../../../src/node-cuda/runner/OrtApi.js"
import { loadOrt } from "../../../src/node-cuda/runner/OrtApi.js"
import type { OrtCSession } from "../../../src/node-cuda/runner/OrtCSession.js"
import { createSession } from "../../../src/node-cuda/runner/OrtCSession.js"

type Recorded =
  | { readonly type: "work"; readonly run: () => void }
  /** Waits until the word in memory is at least so much. */
  | { readonly type: "until"; readonly word: number; readonly least: number }

type Operation =
  | Recorded
  | { readonly type: "record"; readonly event: Handle; readonly version: number }
  | { readonly type: "wait"; readonly event: Handle; readonly version: number }

export interface FakeOptions {
  readonly device?: Partial<CudaDevice>
  readonly seed?: number
  /** Throws to fail a call; `count` is how often the call was made, this one included. */
  readonly onCall?: (call: string, count: number) => void
  readonly graphProblem?: () => string | undefined
  /** Milliseconds each session's run takes by the runtime's clock, by layout. */
  readonly runMs?: (nhwc: boolean) => number
  /** Milliseconds the launch of a graph holds its thread, by the same clock. */
  readonly launchMs?: number
  /** How long putting copies on a stream holds the thread. */
  readonly copyMs?: number
  /** `CudaRuntime.moveFromBytes`; by default all small tensors are the mover's. */
  readonly moveFromBytes?: number
  /** What an executable graph computes in place of what was recorded. */
  readonly tamper?: (run: () => void) => void
}

export interface FakeCuda {
  readonly driver: CudaDriver
  /** How many things exist, by kind. */
  readonly live: () => Readonly<Record<string, number>>
  readonly calls: ReadonlyMap<string, number>
  /** Contexts of green streams. */
  readonly greenOf: ReadonlyMap<Handle, GreenContext>
  readonly priorityOf: ReadonlyMap<Handle, number>
  readonly runtime: (onFatal?: (error: CudaError) => void) => CudaRuntime
}

const smGroup = 8

const elementsOf = ({ functions: f, make }: Ort, value: bigint): number => {
  const info = make(f.GetTensorTypeAndShape, value)
  const rank = Number(make<number | bigint>(f.GetDimensionsCount, info))
  const dims = new BigInt64Array(Math.max(1, rank))
  f.GetDimensions(info, dims, rank)
  f.ReleaseTensorTypeAndShapeInfo(info)
  return Array.from(dims.subarray(0, rank), Number).reduce((product, dim) => product * dim, 1)
}

export const makeFakeCuda = (options: FakeOptions = {}): FakeCuda => {
  const koffi = loadKoffi()
  const random = makeRandom(options.seed ?? 1)
  const device: CudaDevice = {
    name: "Fake", units: 132, memoryBytes: 1 << 30, driverVersion: 13000, priorities: { highest: -5, lowest: 0 }, ...options.device
  }
  /** Only what the options say takes time: what is decided by it does not depend on this machine. */
  let clockMs = 0
  const calls = new Map<string, number>()
  const called = (call: string): void => {
    const count = (calls.get(call) ?? 0) + 1
    calls.set(call, count)
    options.onCall?.(call, count)
  }
  let handles = 1000
  /** Sessions that are just running for the first time. */
  let firstRuns = 0
  const kinds = { memory: new Map<number, ArrayBuffer>(), host: new Map<number, ArrayBuffer>(), locked: new Set<number>() }
  const green = new Set<Handle>()
  const streams = new Map<Handle, Array<Operation>>()
  const greenOf = new Map<Handle, GreenContext>()
  const priorityOf = new Map<Handle, number>()
  /** Versions recorded and reached. */
  const events = new Map<Handle, { recorded: number; reached: number }>()
  const graphs = new Map<Handle, Array<Recorded>>()
  const executables = new Map<Handle, Array<Recorded>>()
  const capturing = new Map<Handle, Array<Recorded>>()
  let freeBytes = device.memoryBytes

  const known = <A>(map: ReadonlyMap<Handle, A>, handle: Handle, call: string): A => {
    const found = map.get(handle)
    if (found === undefined) throw new Error(`${call} got a handle that does not exist`)
    return found
  }
  const forget = (map: { delete: (handle: Handle) => boolean }, handle: Handle, call: string): void => {
    called(call)
    if (!map.delete(handle)) throw new Error(`${call} got a handle that does not exist`)
  }
  const addressed = (bytes: number, into: Map<number, ArrayBuffer>): number => {
    const memory = new ArrayBuffer(bytes + 64)
    const start = Number(koffi.address(memory))
    const address = Math.ceil(start / 64) * 64
    into.set(address, memory)
    return address
  }
  const view = (address: number, bytes: number): Uint8Array => new Uint8Array(koffi.view(BigInt(address), bytes))
  const move = (to: number, from: number, bytes: number) => () => void view(to, bytes).set(view(from, bytes))
  const add = (stream: Handle, operation: Recorded): void => {
    const queue = known(streams, stream, "a call")
    const recording = capturing.get(stream)
    if (recording !== undefined) recording.push(operation)
    else queue.push(operation)
  }
  const put = (stream: Handle, run: () => void): void => add(stream, { type: "work", run })
  const isMet = ({ least, word }: { readonly word: number; readonly least: number }): boolean =>
    new DataView(koffi.view(BigInt(word), 4)).getInt32(0, true) >= least

  /** Does one thing of a random stream that can go on. False where none can. */
  const step = (): boolean => {
    const able = [...streams.values()].filter((queue) => {
      const head = queue[0]
      if (head?.type === "until") return isMet(head)
      return head !== undefined && (head.type !== "wait" || (events.get(head.event)?.reached ?? Infinity) >= head.version)
    })
    const queue = able[Math.floor(random() * able.length)]
    if (queue === undefined) return false
    const operation = queue.shift()!
    if (operation.type === "work") operation.run()
    else if (operation.type === "record") events.get(operation.event)!.reached = operation.version
    return true
  }
  const copies = (into: boolean, call: string): CudaDriver["copyAllIn"] => (list, stream) => {
    called(call)
    for (let i = 0; i < list.count; i++) {
      const [host, onDevice, bytes] = [getU64(list.host, i), getU64(list.device, i), getU64(list.bytes, i)]
      put(stream, into ? move(onDevice, host, bytes) : move(host, onDevice, bytes))
    }
  }

  const launch = (executable: Handle, stream: Handle): void => {
    for (const each of known(executables, executable, "launch")) {
      add(stream, options.tamper === undefined || each.type !== "work" ? each : { type: "work", run: () => options.tamper!(each.run) })
    }
  }

  const driver: CudaDriver = {
    device,
    freeBytes: () => freeBytes,
    lockHost: (address) => {
      called("lockHost")
      kinds.locked.add(address)
    },
    deviceAddress: (address) => address,
    unlockHost: (address) => forget(kinds.locked, address, "unlockHost"),
    allocateHost: (bytes) => {
      called("allocateHost")
      const address = addressed(bytes, kinds.host)
      return { address, memory: view(address, bytes) }
    },
    freeHost: (address) => forget(kinds.host, address, "freeHost"),
    allocate: (bytes) => {
      called("allocate")
      if (bytes > freeBytes) throw new CudaError("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY")
      freeBytes -= bytes
      return addressed(bytes, kinds.memory)
    },
    free: (pointer) => {
      freeBytes += (kinds.memory.get(pointer)?.byteLength ?? 64) - 64
      forget(kinds.memory, pointer, "free")
    },
    splitSms: (least) => {
      called("splitSms")
      const size = Math.ceil(least / smGroup) * smGroup
      // The last GPC has not enough for another group, as on the real one.
      const count = Math.floor((device.units - (device.units % smGroup === 0 ? 0 : smGroup)) / size)
      return { units: [...Array.from({ length: count }, () => size), device.units - count * size].filter((n) => n > 0), resources: new Uint8Array(0) }
    },
    createGreen: (groups, indices) => {
      called("createGreen")
      const context = { handle: ++handles, units: indices.reduce((sum, i) => sum + groups.units[i]!, 0) }
      green.add(context.handle)
      return context
    },
    destroyGreen: ({ handle }) => {
      for (const [stream, context] of greenOf) if (context.handle === handle && streams.has(stream)) throw new Error("the context has a stream")
      forget(green, handle, "destroyGreen")
    },
    createStream: (priority, context) => {
      called("createStream")
      streams.set(++handles, [])
      priorityOf.set(handles, priority)
      if (context !== undefined) greenOf.set(handles, context)
      return handles
    },
    destroyStream: (stream) => forget(streams, stream, "destroyStream"),
    createEvent: () => {
      called("createEvent")
      events.set(++handles, { recorded: 0, reached: 0 })
      return handles
    },
    destroyEvent: (event) => forget(events, event, "destroyEvent"),
    record: (event, stream) => {
      called("record")
      if (capturing.has(stream)) throw new Error("recorded an event into a graph")
      const state = known(events, event, "record")
      known(streams, stream, "record").push({ type: "record", event, version: ++state.recorded })
    },
    wait: (stream, event) => {
      called("wait")
      if (capturing.has(stream)) throw new Error("recorded a wait into a graph")
      known(streams, stream, "wait").push({ type: "wait", event, version: known(events, event, "wait").recorded })
    },
    isDone: (event) => {
      called("isDone")
      const state = known(events, event, "isDone")
      for (let i = 0; i < 2; i++) step()
      return state.reached >= state.recorded
    },
    copyIn: (to, from, bytes, stream) => {
      called("copyIn")
      put(stream, move(to, from, bytes))
    },
    copyOut: (to, from, bytes, stream) => {
      called("copyOut")
      put(stream, move(to, from, bytes))
    },
    copyAllIn: (list, stream) => {
      clockMs += options.copyMs ?? 0
      copies(true, "copyAllIn")(list, stream)
    },
    copyAllInAsync: (list, stream, done) => {
      called("copyAllInAsync")
      setImmediate(() => {
        try {
          copies(true, "copiedAllIn")(list, stream)
        } catch (error) {
          return done(error as CudaError)
        }
        done(undefined)
      })
    },
    copyAllOut: copies(false, "copyAllOut"),
    openMover: () => {
      called("openMover")
      return { moveIn: copies(true, "moveIn"), moveOut: copies(false, "moveOut") }
    },
    beginCapture: (stream) => {
      called("beginCapture")
      if (firstRuns > 0) throw new Error("captured while a session runs first")
      capturing.set(stream, [])
    },
    endCapture: (stream) => {
      called("endCapture")
      const recorded = known(capturing, stream, "endCapture")
      capturing.delete(stream)
      graphs.set(++handles, recorded)
      return handles
    },
    graphProblem: (graph) => {
      called("graphProblem")
      known(graphs, graph, "graphProblem")
      return options.graphProblem?.()
    },
    keepHostSources: () => {
      called("keepHostSources")
      return [addressed(64, kinds.host)]
    },
    waitUntil: (stream, { least, word }) => {
      called("waitUntil")
      add(stream, { type: "until", word, least })
    },
    waitsOf: (graph) => known(graphs, graph, "waitsOf").filter(({ type }) => type === "until").length,
    instantiate: (graph) => {
      called("instantiate")
      executables.set(++handles, [...known(graphs, graph, "instantiate")])
      return handles
    },
    launch: (executable, stream) => {
      called("launch")
      clockMs += options.launchMs ?? 0
      launch(executable, stream)
    },
    launchAsync: (executable, stream, done) => {
      called("launchAsync")
      setImmediate(() => {
        launch(executable, stream)
        done(undefined)
      })
    },
    destroyGraph: (graph) => forget(graphs, graph, "destroyGraph"),
    destroyExecutable: (executable) => forget(executables, executable, "destroyExecutable")
  }

  const runtime = (onFatal: (error: CudaError) => void = (error) => {
    throw error
  }): CudaRuntime => {
    const ort = loadOrt()
    return {
      driver,
      ort,
      memoryInfo: ort.cpuMemory,
      captures: new CaptureGate(),
      unsynchronized: 0n,
      now: () => clockMs,
      onFatal,
      moveFromBytes: options.moveFromBytes ?? 1,
      openSession: async (request, { nhwc, stream }): Promise<OrtCSession> => {
        called("openSession")
        const session = await createSession(ort, request.path, request.signature, { threads: 1 })
        const dynamic = (values: { readonly outputValues: BigUint64Array }): boolean => values.outputValues.subarray(0, request.signature.outputs.length).includes(0n)
        let hasRun = false
        // Like onnxruntime's ones for biases: taken anew where a run needs more than any before.
        let largest = 0
        let growths = 0
        return {
          ...session,
          runAsync: (values, _, onDone) => {
            // What a session does when it runs first waits for the device as a whole, which may not be while a stream is captured.
            const isFirst = !hasRun
            const meetsCapture = [...capturing.keys()].some((other) => other !== stream)
            hasRun = true
            if (isFirst) firstRuns++
            const done: typeof onDone = (problem) => {
              if (isFirst) firstRuns--
              onDone(isFirst && (meetsCapture || [...capturing.keys()].some((other) => other !== stream)) ? "operation not permitted when stream is capturing" : problem)
            }
            const elements = values.inputValues.subarray(0, request.signature.inputs.length).reduce((sum, value) => sum + elementsOf(ort, value), 0)
            const isCaptured = capturing.has(stream)
            if (elements > largest) {
              if (isCaptured) throw new Error("captured what was never as large")
              largest = elements
              growths++
            }
            const growthsThen = growths
            const run = (): void => {
              if (isCaptured && growths !== growthsThen) throw new Error("a graph reads what its session gave up")
              clockMs += options.runMs?.(nhwc) ?? 0
              const problem = session.run(values, null)
              if (problem !== undefined) throw new Error(problem)
            }
            if (dynamic(values)) {
              // ONNX Runtime waits for its stream where it makes outputs itself.
              while (streams.get(stream)!.length > 0 && step());
              setImmediate(() => done(session.run(values, null)))
              return
            }
            // The launch takes a while, on another thread.
            setImmediate(() => {
              put(stream, run)
              done(undefined)
            })
          }
        }
      }
    }
  }

  return {
    driver,
    calls,
    greenOf,
    priorityOf,
    runtime,
    live: () => ({
      memory: kinds.memory.size, host: kinds.host.size, locked: kinds.locked.size, green: green.size, streams: streams.size, events: events.size,
      graphs: graphs.size, executables: executables.size
    })
  }
}

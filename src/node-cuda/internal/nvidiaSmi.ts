/** nvidia-smi: which GPUs there are and what they do. Its CSV is parsed strictly: a line that is not understood is an error, not a guess. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { CudaUnavailable } from "../CudaError.js"
import { runCommand } from "./runCommand.js"

/** One GPU as nvidia-smi describes it. */
interface SmiGpu {
  readonly index: number
  readonly uuid: string
  readonly name: string
  readonly driver: string
  readonly memoryTotalBytes: number
  readonly memoryUsedBytes: number
  /** 0 to 1; undefined where it is not measured, as on a GPU cut by MIG. */
  readonly utilizationRatio: number | undefined
  readonly powerWatts: number | undefined
  readonly computeMode: "Default" | "Exclusive_Process" | "Prohibited" | "Exclusive_Thread"
  readonly mig: boolean
}

/** A MIG instance, as `nvidia-smi -L` lists it. */
interface SmiMig {
  readonly uuid: string
  /** UUID of the GPU it is part of. */
  readonly parent: string
  /** e.g. `1g.18gb`. */
  readonly profile: string
}

const mebibyte = 2 ** 20
const timeoutMs = 15_000
/** As many GPUs as no host has. */
const mostLines = 256

const fields = [
  "index", "uuid", "name", "driver_version", "memory.total", "memory.used", "utilization.gpu", "power.draw", "compute_mode", "mig.mode.current"
] as const
const computeModes: ReadonlyArray<SmiGpu["computeMode"]> = ["Default", "Exclusive_Process", "Prohibited", "Exclusive_Thread"]

/** Not measured or not supported: `[N/A]`, `N/A`, `[Not Supported]`, `[Unknown Error]`. */
const isAbsent = (text: string): boolean => /^\[?(n\/a|not supported|unknown error|insufficient permissions)\]?$/i.test(text)

const unreadable = (subject: string, detail: string): CudaUnavailable => new CudaUnavailable({ reason: "unreadable", subject, detail })

/** Reads what `gpuQuery` asks for. */
export const parseGpus = (csv: string): Either.Either<ReadonlyArray<SmiGpu>, CudaUnavailable> =>
  Either.gen(function*() {
    const lines = csv.split("\n").filter((line) => line.trim() !== "")
    if (lines.length > mostLines) return yield* Either.left(unreadable("nvidia-smi", `it lists ${lines.length} GPUs`))
    const gpus: Array<SmiGpu> = []
    for (const [i, line] of lines.entries()) {
      const cells = line.split(",").map((cell) => cell.trim())
      const wrong = (field: typeof fields[number], text: string | undefined) =>
        Either.left(unreadable("nvidia-smi", `line ${i + 1}, ${field}: "${text ?? ""}" is not understood in "${line}"`))
      if (cells.length !== fields.length) return yield* Either.left(unreadable("nvidia-smi", `line ${i + 1} has ${cells.length} of ${fields.length} values: "${line}"`))
      const cell = (field: typeof fields[number]): string => cells[fields.indexOf(field)]!
      const numberOf = (field: typeof fields[number]) => {
        const text = cell(field)
        const value = Number(text)
        return text !== "" && Number.isFinite(value) && value >= 0 ? Either.right(value) : wrong(field, text)
      }
      const optional = (field: typeof fields[number]) => (isAbsent(cell(field)) ? Either.right(undefined) : numberOf(field))
      const uuid = cell("uuid")
      if (!/^GPU-[0-9a-f-]{8,}$/i.test(uuid)) return yield* wrong("uuid", uuid)
      const computeMode = computeModes.find((mode) => mode === cell("compute_mode"))
      if (computeMode === undefined) return yield* wrong("compute_mode", cell("compute_mode"))
      const utilization = yield* optional("utilization.gpu")
      gpus.push({
        index: yield* numberOf("index"),
        uuid,
        name: cell("name"),
        driver: cell("driver_version"),
        memoryTotalBytes: (yield* numberOf("memory.total")) * mebibyte,
        memoryUsedBytes: ((yield* optional("memory.used")) ?? 0) * mebibyte,
        utilizationRatio: utilization === undefined ? undefined : Math.min(1, utilization / 100),
        powerWatts: yield* optional("power.draw"),
        computeMode,
        mig: cell("mig.mode.current") === "Enabled"
      })
    }
    return gpus
  })

/** Reads the MIG instances of `nvidia-smi -L`; its other lines say what `parseGpus` knows better. */
export const parseMigs = (list: string): Either.Either<ReadonlyArray<SmiMig>, CudaUnavailable> => {
  const migs: Array<SmiMig> = []
  let parent: string | undefined
  for (const line of list.split("\n").slice(0, mostLines * 8)) {
    const gpu = /^GPU \d+: .*\(UUID: (GPU-[0-9a-f-]+)\)/i.exec(line)
    if (gpu !== null) parent = gpu[1]!
    if (!/^\s+MIG/.test(line)) continue
    const mig = /^\s+MIG\s+(\S+)\s+Device\s+\d+:\s+\(UUID: (MIG-[0-9a-zA-Z/-]+)\)/.exec(line)
    if (mig === null || parent === undefined) return Either.left(unreadable("nvidia-smi -L", `"${line.trim()}" is not understood`))
    migs.push({ uuid: mig[2]!, parent, profile: mig[1]! })
  }
  return Either.right(migs)
}

const run = (args: ReadonlyArray<string>): Effect.Effect<string, CudaUnavailable> =>
  runCommand("nvidia-smi", args, { timeoutMs }).pipe(
    Effect.mapError(({ detail, reason }) =>
      new CudaUnavailable({ reason: reason === "missing" ? "no-driver" : "nvidia-smi-failed", subject: "nvidia-smi", detail })),
    Effect.flatMap(({ code, stderr, stdout }) => {
      if (code === 0) return Effect.succeed(stdout)
      // It writes its reasons to stdout.
      const detail = `${stderr.trim()} ${stdout.trim()}`.trim().replace(/\s+/g, " ").slice(0, 500)
      return Effect.fail(new CudaUnavailable({
        reason: /no devices were found/i.test(detail) ? "no-gpu" : "nvidia-smi-failed", subject: "nvidia-smi", detail: `exit code ${code}, ${detail}`
      }))
    })
  )

/** All GPUs of the host, by index. */
export const smiGpus: Effect.Effect<ReadonlyArray<SmiGpu>, CudaUnavailable> = Effect.flatMap(
  run([`--query-gpu=${fields.join(",")}`, "--format=csv,noheader,nounits"]), parseGpus
)

/** All MIG instances. */
const smiMigs: Effect.Effect<ReadonlyArray<SmiMig>, CudaUnavailable> = Effect.flatMap(run(["-L"]), parseMigs)

/** What can be computed on: a GPU, or an instance of one that MIG cuts. */
export interface SmiDevice {
  readonly uuid: string
  readonly smi: SmiGpu
  readonly mig: SmiMig | undefined
}

/** All devices, by the index of their GPU. */
export const smiDevices: Effect.Effect<ReadonlyArray<SmiDevice>, CudaUnavailable> = Effect.gen(function*() {
  const gpus = yield* smiGpus
  const migs = gpus.some((gpu) => gpu.mig) ? yield* smiMigs : []
  return gpus.flatMap((smi): ReadonlyArray<SmiDevice> =>
    smi.mig
      ? migs.filter((mig) => mig.parent === smi.uuid).map((mig) => ({ uuid: mig.uuid, smi, mig }))
      : [{ uuid: smi.uuid, smi, mig: undefined }]
  )
})

/** A GPU's type, the key of its profiles: `NVIDIA H200` is `h200`, a MIG instance of it `h200-mig-1g.18gb`. */
export const gpuTypeOf = (name: string, migProfile?: string): string => {
  const plain = name.replace(/^NVIDIA\s+/i, "").toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^-|-$/g, "")
  return `${plain === "" ? "gpu" : plain}${migProfile === undefined ? "" : `-mig-${migProfile.toLowerCase()}`}`
}

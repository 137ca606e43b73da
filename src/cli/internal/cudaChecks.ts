/** What `--executor cuda` needs of this host, looked at piece by piece. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import { CudaUnavailable } from "../../node-cuda/CudaError.js"
import { install } from "../../node-cuda/CudaInstall.js"
import { probeGpu } from "../../node-cuda/internal/cudaProbe.js"
import { chooseIsolation, noMpsControl } from "../../node-cuda/internal/isolationChoice.js"
import { mpsControlName, mpsControlPath, ownPipeDirectory, runningDaemon, serverList, serverStatus } from "../../node-cuda/internal/mpsControl.js"
import type { SmiDevice } from "../../node-cuda/internal/nvidiaSmi.js"
import { smiDevices } from "../../node-cuda/internal/nvidiaSmi.js"
import type { ProviderState } from "../../node-cuda/internal/ortProvider.js"
import { changedFiles, mentions, providerFiles, providerHome, providerState } from "../../node-cuda/internal/ortProvider.js"
import { namesIn, visibleDevices } from "../../node-cuda/internal/visibleDevices.js"
import type { Check } from "./doctorChecks.js"

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`
const cudaVersion = (driverVersion: number): string => `${Math.floor(driverVersion / 1000)}.${Math.floor((driverVersion % 1000) / 10)}`
/** CUDA 13 and its minor versions run on drivers from this one on. */
const oldestDriverFor: ReadonlyMap<number, number> = new Map([[12, 525], [13, 580]])

/** One device: can it be used, and how would its shares be enforced. */
const deviceChecks = ({ mig, smi, uuid }: SmiDevice, essential: boolean): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.gen(function*() {
    const name = `GPU ${smi.index}${mig === undefined ? "" : ` ${mig.profile}`}`
    const probed = yield* Effect.either(probeGpu(uuid))
    if (Either.isLeft(probed)) {
      return [{ name, state: "missing", essential, found: `${smi.name} ${uuid}: ${probed.left.detail}`, mend: "the driver cannot use it: see dmesg, and in a container start it with --gpus all" }]
    }
    const { driverVersion, memoryBytes, smGroups, units } = probed.right
    const device: Check = {
      name, state: "ok", essential,
      found: `${smi.name}, ${units} SMs, ${gib(memoryBytes)}, ${smi.memoryUsedBytes > 2 ** 30 ? `${gib(smi.memoryUsedBytes)} used by others, ` : ""}driver ${smi.driver}, CUDA ${cudaVersion(driverVersion)}`
    }
    const mode = smi.computeMode
    const modeCheck: ReadonlyArray<Check> = mode === "Default" ? [] : [{
      name: `${name} compute mode`, state: mode === "Prohibited" ? "missing" : "limited", essential, found: mode,
      mend: mode === "Prohibited" ? "no process may use it: nvidia-smi -c DEFAULT (as root)" : "one process at a time: MPS works, other programs do not beside it; nvidia-smi -c DEFAULT (as root) lifts that"
    }]
    const mpsControl = mpsControlPath() !== undefined
    const daemon = mpsControl ? yield* runningDaemon(uuid) : Option.none()
    const choice = chooseIsolation("auto", { computeMode: mode, smGroups, mpsProblem: mpsControl ? undefined : noMpsControl, mpsRuns: Option.isSome(daemon) })
    const isolation: Check = Either.match(choice, {
      onLeft: (why): Check => ({ name: `${name} isolation`, state: "missing", essential, found: "none", mend: why }),
      onRight: ({ isolation, why }): Check => ({
        name: `${name} isolation`, state: isolation === "stream" ? "limited" : "ok", essential: false, found: `auto is ${isolation}: ${why}`,
        ...(isolation === "stream" ? { mend: "shares are not enforced: a driver of CUDA 12.4 or newer has green contexts, and its compute utilities have MPS" } : {})
      })
    })
    return [device, ...modeCheck, isolation]
  })

/** Which of the devices the variable leaves to a server; nothing where it is not set. */
const visibleCheck = (devices: ReadonlyArray<SmiDevice>, essential: boolean): ReadonlyArray<Check> => {
  const name = "CUDA_VISIBLE_DEVICES"
  const text = process.env[name]
  const names = namesIn(text)
  if (names === undefined) return []
  const { devices: seen, unknown } = visibleDevices(devices, names)
  const found = `"${text}": ${seen.length} of ${devices.length}`
  if (seen.length === 0) return [{ name, state: "missing", essential, found, mend: "it hides all GPUs: unset it, or name indices or UUIDs as nvidia-smi -L shows them" }]
  if (unknown === undefined) return [{ name, state: "ok", essential: false, found }]
  return [{ name, state: "limited", essential: false, found, mend: `no GPU, or more than one, is "${unknown}", which hides what is named after it` }]
}

/** Pipe directories of ours whose daemon is gone. */
const staleDirectories = (uuids: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(uuids, (uuid) => Effect.map(runningDaemon(uuid), (daemon) => [ownPipeDirectory(uuid), daemon] as const)),
    (all) => all.flatMap(([directory, daemon]) => (Option.isNone(daemon) && fs.existsSync(path.join(directory, "control")) ? [directory] : []))
  )

const mpsCheck = (uuids: ReadonlyArray<string>): Effect.Effect<Check> =>
  Effect.gen(function*() {
    const name = "MPS"
    if (mpsControlPath() === undefined) {
      return { name, state: "limited", essential: false, found: `${mpsControlName} is not on PATH`, mend: "--isolation mps is not to be had; it comes with the driver's compute utilities (nvidia-compute-utils)" }
    }
    const stale = yield* staleDirectories(uuids)
    if (stale.length > 0) {
      return {
        name, state: "limited", essential: false, found: `a daemon that was killed left ${stale.join(", ")}`, mend: "glet doctor --fix removes it; glet serve would too",
        fix: () => {
          for (const directory of stale) fs.rmSync(directory, { recursive: true, force: true })
          return Promise.resolve(`removed ${stale.join(", ")}`)
        }
      }
    }
    const running = yield* Effect.forEach(uuids, (uuid) =>
      Effect.gen(function*() {
        const daemon = yield* runningDaemon(uuid)
        if (Option.isNone(daemon)) return []
        const { pid, pipeDirectory } = daemon.value
        const servers = yield* Effect.orElseSucceed(serverList(pipeDirectory), () => [])
        const states = yield* Effect.forEach(servers, (server) => Effect.orElseSucceed(serverStatus(pipeDirectory, server), () => "unknown"))
        return [{ text: `daemon ${pid ?? "of another container"} in ${pipeDirectory}, ${servers.length === 0 ? "no server yet" : `server ${states.join(", ")}`}`, fault: states.some((state) => /FAULT/i.test(state)) }]
      }))
    const daemons = new Map(running.flat().map((one) => [one.text, one]))
    const faults = [...daemons.values()].filter(({ fault }) => fault)
    const found = daemons.size === 0 ? "installed, no daemon runs; glet serve starts one per GPU where it needs it" : [...daemons.keys()].join("; ")
    return faults.length === 0
      ? { name, state: "ok", essential: false, found }
      : { name, state: "limited", essential: false, found, mend: "a client had a fatal exception: the server takes no new clients until all old ones have ended; end them" }
  })

/** Why the provider is not what it should be. */
const providerProblem = ({ home, installed, version }: ProviderState): Effect.Effect<string | undefined> =>
  Effect.gen(function*() {
    if (!installed) return `not in ${home.folder}`
    if (version === undefined) {
      const isOfVersion = yield* Effect.promise(() => mentions(path.join(home.folder, providerFiles[1]), home.version))
      return isOfVersion ? undefined : `put into ${home.folder} by hand, and not of version ${home.version}, which onnxruntime-node has`
    }
    if (version !== home.version) return `version ${version} beside onnxruntime-node ${home.version}`
    const changed = yield* changedFiles(home)
    return changed.length === 0 ? undefined : `${changed.join(" and ")} in ${home.folder} changed since it was installed`
  })

const providerChecks = (essential: boolean, driver: string): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.gen(function*() {
    const name = "CUDA provider"
    const home = yield* Effect.either(Effect.try({ try: () => providerHome(), catch: (error) => (error instanceof Error ? error.message : String(error)) }))
    if (Either.isLeft(home)) return [{ name, state: "missing", essential, found: home.left, mend: "run npm ci again" }]
    const state = yield* providerState(home.right)
    const { version } = home.right
    const wrong = yield* providerProblem(state)
    if (wrong !== undefined) {
      return [{
        name, state: "missing", essential, found: wrong,
        mend: "glet cuda install puts it there (glet doctor --fix does the same); it takes 250 MB from PyPI, or --from a wheel",
        fix: () => Effect.runPromise(Effect.map(install({ force: true }), ({ source }) => `installed ${source}`))
      }]
    }
    const provider: Check = { name, state: "ok", essential, found: `${state.version ?? `${version}, put there by hand`}, for CUDA ${state.cudaMajor ?? "?"} and cuDNN ${state.cudnnMajor ?? "?"}` }
    const { folders, missing } = state.libraries
    const libraries: Check = missing.length === 0
      ? { name: "CUDA libraries", state: "ok", essential, found: folders.length === 0 ? "known to the loader" : folders.join(", ") }
      : {
        name: "CUDA libraries", state: "missing", essential, found: `${missing.join(", ")} not found`,
        mend: `install CUDA ${state.cudaMajor ?? ""} and cuDNN ${state.cudnnMajor ?? ""}, by packages of the system or with: pip install "onnxruntime-gpu[cuda,cudnn]==${version}" nvidia-cublas; a folder of its own goes into LD_LIBRARY_PATH`
      }
    const oldest = oldestDriverFor.get(state.cudaMajor ?? 0)
    const tooOld: ReadonlyArray<Check> = oldest !== undefined && Number.parseInt(driver, 10) < oldest
      ? [{ name: "NVIDIA driver", state: "missing", essential, found: driver, mend: `CUDA ${state.cudaMajor} needs driver ${oldest} or newer` }]
      : []
    return [provider, libraries, ...tooOld]
  })

/** Page-locked memory is what copies without the processor's help need. */
const lockedMemory = (): Check => {
  const name = "locked memory"
  try {
    const [, soft] = /Max locked memory\s+(\S+)/.exec(fs.readFileSync("/proc/self/limits", "utf8"))!
    const enough = soft === "unlimited" || Number(soft) >= 2 ** 30
    const found = soft === "unlimited" ? "no limit" : `limit ${gib(Number(soft))}`
    return enough
      ? { name, state: "ok", essential: false, found }
      : { name, state: "limited", essential: false, found, mend: "page-locking tensors may fail, copies are slower then: ulimit -l unlimited, in a container --ulimit memlock=-1, in a service LimitMEMLOCK=infinity" }
  } catch {
    return { name, state: "ok", essential: false, found: "limit unknown on this system" }
  }
}

const none = ({ message, reason }: CudaUnavailable, essential: boolean): ReadonlyArray<Check> => {
  const noGpu = reason === "no-driver" || reason === "no-gpu"
  if (noGpu && !essential) return [{ name: "GPUs", state: "ok", essential: false, found: "none found: the CPU is the GPU" }]
  return [{ name: "GPUs", state: "missing", essential, found: message, mend: "without them --executor cpu serves" }]
}

/** Looks at everything; `essential` where CUDA is what the host is for. */
export const cudaChecks = (essential: boolean): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.gen(function*() {
    const devices = yield* smiDevices
    if (devices.length === 0) return none(new CudaUnavailable({ reason: "no-gpu", subject: "nvidia-smi", detail: "it lists no GPU" }), essential)
    const perDevice = yield* Effect.forEach(devices, (device) => deviceChecks(device, essential), { concurrency: 4 })
    return [
      ...perDevice.flat(), ...visibleCheck(devices, essential), yield* mpsCheck(devices.map(({ uuid }) => uuid)), ...(yield* providerChecks(essential, devices[0]!.smi.driver)), lockedMemory()
    ]
  }).pipe(Effect.catchAll((error) => Effect.succeed(none(error, essential))))

import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { findRunner } from "../../node-cuda/internal/runnerPath.js"
import { usableCores } from "../../node-cuda/internal/usableCores.js"
import { packageRoot, resourcePath } from "./packageFiles.js"

/** One thing looked at. `limited`: works, less well. */
export interface Check {
  readonly name: string
  readonly state: "ok" | "limited" | "missing"
  /** Without it nothing is served. */
  readonly essential: boolean
  readonly found: string
  /** What to do; absent where the state is ok. */
  readonly mend?: string
  /** Does it, where that harms nothing; says what it did. */
  readonly fix?: () => Promise<string>
}

const require = createRequire(import.meta.url)
const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split("\n")[0]!

const node = (): Check => {
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number]
  const enough = major > 20 || (major === 20 && minor >= 19)
  return {
    name: "node", state: enough ? "ok" : "missing", essential: true, found: process.version,
    ...(enough ? {} : { mend: "install Node.js 20.19 or newer" })
  }
}

const folderOf = (dependency: string): string => path.dirname(require.resolve(`${dependency}/package.json`))

const onnxruntime = (): Check => {
  const name = "onnxruntime"
  try {
    const ort = require("onnxruntime-node") as { readonly env: { readonly versions: Readonly<Record<string, string | undefined>> }; readonly listSupportedBackends?: () => ReadonlyArray<{ readonly name: string }> }
    const backends = ort.listSupportedBackends?.().map((backend) => backend.name) ?? []
    return { name, state: "ok", essential: true, found: `${ort.env.versions["node"] ?? "unknown version"}, engine ort-js, built for ${backends.join(", ") || "unknown"}` }
  } catch (error) {
    return { name, state: "missing", essential: true, found: messageOf(error), mend: "run npm ci again (npm install glet-orion); onnxruntime-node needs glibc 2.28, macOS 13 or Windows 10" }
  }
}

const nativeLibrary = (): Check => {
  const name = "onnxruntime C API"
  const mend = "models run on the slower engine ort-js; run npm ci again for this platform"
  try {
    const folder = path.join(folderOf("onnxruntime-node"), "bin", "napi-v6", process.platform, process.arch)
    const library = fs.readdirSync(folder).find((file) => /^(lib)?onnxruntime[.\d]*\.(so|dylib|dll)/.test(file))
    if (library === undefined) return { name, state: "limited", essential: false, found: `no library in ${folder}`, mend }
    const koffi = require("koffi") as { readonly version: string; readonly load: (file: string) => { readonly func: (prototype: string) => unknown; readonly unload: () => void } }
    const loaded = koffi.load(path.join(folder, library))
    loaded.func("void *OrtGetApiBase()")
    return { name, state: "ok", essential: false, found: `${library} through koffi ${koffi.version}, engine ort-c` }
  } catch (error) {
    return { name, state: "limited", essential: false, found: messageOf(error), mend }
  }
}

const sharedMemory = (): Check => {
  const name = "shared memory"
  const mend = "requests are copied through sockets instead; give /dev/shm 1 GiB (in a container: --shm-size=1g)"
  try {
    const { bavail, bsize } = fs.statfsSync("/dev/shm")
    fs.accessSync("/dev/shm", fs.constants.W_OK)
    const free = bavail * bsize
    return free >= 256 * 2 ** 20
      ? { name, state: "ok", essential: false, found: `/dev/shm, ${gib(free)} free` }
      : { name, state: "limited", essential: false, found: `/dev/shm, ${gib(free)} free`, mend }
  } catch (error) {
    return { name, state: "limited", essential: false, found: messageOf(error), mend }
  }
}

const cores = (): Check => {
  const seen = os.availableParallelism()
  const count = usableCores()
  const model = `${os.cpus()[0]?.model ?? "unknown processor"}${count < seen ? `; this container may use ${count} of ${seen}` : ""}`
  return count >= 2
    ? { name: "cores", state: "ok", essential: false, found: `${count} (${model})` }
    : { name: "cores", state: "limited", essential: false, found: `1 (${model})`, mend: "all models share one glet; two cores or more can be cut" }
}

const memory = (): Check => {
  const free = os.freemem()
  return free >= 512 * 2 ** 20
    ? { name: "memory", state: "ok", essential: false, found: `${gib(free)} free of ${gib(os.totalmem())}` }
    : { name: "memory", state: "limited", essential: false, found: `${gib(free)} free of ${gib(os.totalmem())}`, mend: "free 512 MiB: the server and its runners need about 200 MiB besides the models" }
}

const openFiles = (): Check => {
  const name = "open files"
  try {
    const [, soft] = /Max open files\s+(\S+)/.exec(fs.readFileSync("/proc/self/limits", "utf8"))!
    return soft === "unlimited" || Number(soft) >= 1024
      ? { name, state: "ok", essential: false, found: `limit ${soft}` }
      : { name, state: "limited", essential: false, found: `limit ${soft}`, mend: "raise it for many connections: ulimit -n 65536" }
  } catch {
    return { name, state: "ok", essential: false, found: "limit unknown on this system" }
  }
}

const files = (): Check => {
  const missing = [
    ...(findRunner() === undefined ? ["the runner (dist/runner.js)"] : []),
    ...["lenet-digits.onnx", "digits-test.json", "glet.json"].map((file) => resourcePath("demo", file)).filter((file) => !fs.existsSync(file))
  ]
  return missing.length === 0
    ? { name: "own files", state: "ok", essential: true, found: packageRoot() }
    : { name: "own files", state: "missing", essential: true, found: `${missing.join(", ")} missing`, mend: "run npm run build in a checkout, or install glet-orion again" }
}

const cacheFolder = (): Check => {
  const name = "profile cache"
  const folder = process.env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache")
  let existing = folder
  while (!fs.existsSync(existing) && path.dirname(existing) !== existing) existing = path.dirname(existing)
  try {
    fs.accessSync(existing, fs.constants.W_OK)
    return { name, state: "ok", essential: false, found: path.join(folder, "glet-orion") }
  } catch {
    return { name, state: "limited", essential: false, found: `${existing} is not writable`, mend: "models are measured at every start; set XDG_CACHE_HOME or --profiles to a folder of yours" }
  }
}

/** Looks at everything but GPUs. */
export const runChecks = (): ReadonlyArray<Check> => [
  node(), onnxruntime(), nativeLibrary(), sharedMemory(), cores(), memory(), openFiles(), files(), cacheFolder()
]

/**
 * Puts ONNX Runtime's CUDA provider beside onnxruntime-node's library. The package for Node carries it not; the wheel `onnxruntime-gpu` of the same
 * version does, and its files fit. It comes by pip, or from a wheel or folder for hosts without network.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { pipeline } from "node:stream/promises"
import type { ProviderHome, ProviderReceipt, ProviderState } from "./internal/ortProvider.js"
import { isAlive } from "./internal/isAlive.js"
import { changedFiles, mentions, providerFiles, providerHome, providerState, receiptName } from "./internal/ortProvider.js"
import { runCommand } from "./internal/runCommand.js"
import type { Wheel } from "./internal/wheel.js"
import { extract, makeMeter, openWheel, parseRecord, WheelProblem } from "./internal/wheel.js"

/**
 * The provider could not be installed.
 * @since 0.1.0
 * @category errors
 */
export class CudaInstallError extends Schema.TaggedError<CudaInstallError>()("CudaInstallError", {
  reason: Schema.Literal("unsupported-platform", "not-found", "wrong-version", "wrong-platform", "hash-mismatch", "broken-wheel", "pip-failed", "not-writable"),
  /** File, folder or program. */
  subject: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.subject}: ${this.detail}`
  }
}

/** Where the CUDA provider comes from and goes to. @since 0.1.0 @category options */
export interface CudaInstallOptions {
  /** A wheel, a folder with one, or a folder with the libraries. Default: pip downloads the wheel. */
  readonly from?: string | undefined
  /** Also where it is installed already. */
  readonly force?: boolean
  /** Where it belongs. Default: beside the library of the installed onnxruntime-node. */
  readonly home?: ProviderHome
  readonly onProgress?: (text: string) => void
}

/** What was put in place. @since 0.1.0 @category results */
export interface CudaInstalled {
  readonly state: ProviderState
  /** Nothing had to be done. */
  readonly wasThere: boolean
  readonly source: string
  /** Whether the files are those of the wheel's own RECORD; false for a folder without one. */
  readonly verified: boolean
}

const packageName = "onnxruntime-gpu"
const inWheel = (file: string): string => `onnxruntime/capi/${file}`
/** What its libraries take on disk, about. */
const mostMebibytes = 600
/** A download of a quarter of a gigabyte on a slow line. */
const pipTimeoutMs = 60 * 60 * 1000
/** Python versions and manylinux tags that the wheels have had; any will do, the libraries inside are the same. */
const pythons = ["3.12", "3.13", "3.11"]
const glibcs = ["2_28", "2_27", "2_34", "2_17"]

type Failure = CudaInstallError["reason"]
const failure = (reason: Failure, subject: string, detail: string) => new CudaInstallError({ reason, subject, detail })
const textOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** Runs what throws; the system's errors about the target are told apart from those about the source. */
const attempt = <A>(subject: string, run: () => A | Promise<A>): Effect.Effect<A, CudaInstallError> =>
  Effect.tryPromise({
    try: async () => run(),
    catch: (error) => {
      if (error instanceof CudaInstallError) return error
      if (error instanceof WheelProblem) return failure("broken-wheel", subject, error.message)
      const code = error instanceof Error && "code" in error ? String(error.code) : ""
      if (code === "ENOSPC" || code === "EDQUOT") return failure("not-writable", subject, `no space is left there: the provider takes ${mostMebibytes} MiB, free them and try again`)
      if (code === "EACCES" || code === "EPERM" || code === "EROFS") return failure("not-writable", subject, textOf(error))
      return failure(code === "ENOENT" ? "not-found" : "broken-wheel", subject, textOf(error))
    }
  })

const architecture = process.arch === "arm64" ? "aarch64" : "x86_64"
/** By the number that an ELF file gives its machine. */
const machines: ReadonlyMap<number, string> = new Map([[62, "x86_64"], [183, "aarch64"]])

/** What is wrong with a file as a library of this host. */
const libraryProblem = async (file: string): Promise<string | undefined> => {
  const handle = await fs.promises.open(file, "r")
  try {
    const head = Buffer.alloc(20)
    await handle.read(head, 0, head.length, 0)
    if (head.readUInt32BE(0) !== 0x7f454c46) return "it is no shared library of Linux"
    const machine = head.readUInt16LE(18)
    return machines.get(machine) === architecture ? undefined : `it is for ${machines.get(machine) ?? `machine ${machine}`}, this host is ${architecture}`
  } finally {
    await handle.close()
  }
}

/** Half-written files of installations that were killed; those of one that runs are left to it. */
const removeLeftOver = (folder: string): void => {
  for (const name of fs.readdirSync(folder)) {
    const pid = /\.so\.(\d+)\.partial$/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) fs.rmSync(path.join(folder, name), { force: true })
  }
}

/** Downloads the wheel into a folder; answers its path. */
const download = (version: string, folder: string): Effect.Effect<string, CudaInstallError> =>
  Effect.gen(function*() {
    const requirement = `${packageName}==${version}`
    const platforms = glibcs.flatMap((glibc) => ["--platform", `manylinux_${glibc}_${architecture}`])
    let last = failure("pip-failed", "pip", "python3 is not there")
    for (const python of pythons) {
      const args = [
        "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
        "--implementation", "cp", "--python-version", python, ...platforms, "--dest", folder, requirement
      ]
      const ran = yield* runCommand("python3", args, { timeoutMs: pipTimeoutMs }).pipe(
        Effect.mapError(({ detail }) => failure("pip-failed", "pip", `${detail}; download ${requirement} elsewhere and give it with --from`))
      )
      const wheel = fs.readdirSync(folder).find((name) => name.endsWith(".whl"))
      if (ran.code === 0 && wheel !== undefined) return path.join(folder, wheel)
      const said = ran.stderr.trim().split("\n").filter((line) => /error/i.test(line)).at(-1) ?? ran.stderr.trim().slice(-300)
      last = failure("pip-failed", "pip", `${said}; where there is no network, download ${requirement} elsewhere and give it with --from`)
      // Only a missing build for this Python is worth another one.
      if (!/no matching distribution/i.test(ran.stderr)) return yield* last
    }
    return yield* last
  })

/** Puts files at their place, both or none: readers never see half a library. */
const place = (
  home: ProviderHome,
  source: string,
  write: (file: string, to: string) => Promise<{ readonly bytes: number; readonly sha256: string }>,
  record: Wheel["record"] | undefined
): Effect.Effect<void, CudaInstallError> =>
  attempt(home.folder, async () => {
    // Two that install at the same moment do not write into one file.
    const partial = (file: string): string => path.join(home.folder, `${file}.${process.pid}.partial`)
    try {
      removeLeftOver(home.folder)
      const sha256: Record<string, string> = {}
      for (const file of providerFiles) {
        const wrote = await write(file, partial(file))
        const expected = record?.get(inWheel(file))
        if (record !== undefined && (expected === undefined || expected.sha256 !== wrote.sha256 || expected.bytes !== wrote.bytes)) {
          throw failure("hash-mismatch", `${source}, ${file}`, expected === undefined
            ? "its RECORD does not know the file"
            : `${wrote.bytes} bytes with SHA-256 ${wrote.sha256}, its RECORD says ${expected.bytes} with ${expected.sha256}`)
        }
        const problem = await libraryProblem(partial(file))
        if (problem !== undefined) throw failure("wrong-platform", `${source}, ${file}`, problem)
        sha256[file] = Buffer.from(wrote.sha256, "base64url").toString("hex")
      }
      for (const file of providerFiles) await fs.promises.rename(partial(file), path.join(home.folder, file))
      const receipt: ProviderReceipt = { version: home.version, source, sha256 }
      await fs.promises.writeFile(path.join(home.folder, receiptName), `${JSON.stringify(receipt, null, 2)}\n`)
    } finally {
      for (const file of providerFiles) await fs.promises.rm(partial(file), { force: true })
    }
  })

const fromWheel = (file: string, home: ProviderHome): Effect.Effect<{ readonly source: string; readonly verified: boolean }, CudaInstallError> =>
  Effect.gen(function*() {
    const wheel = yield* attempt(file, () => openWheel(file))
    if (wheel.name.toLowerCase().replace(/[-_.]+/g, "-") !== packageName) return yield* failure("wrong-version", file, `it is ${wheel.name || "nameless"}, not ${packageName}`)
    if (wheel.version !== home.version) return yield* failure("wrong-version", file, `it is version ${wheel.version}, onnxruntime-node is ${home.version}: they must be equal`)
    yield* place(home, path.basename(file), (name, to) => extract(wheel, inWheel(name), to), wheel.record)
    return { source: path.basename(file), verified: true }
  })

/** The RECORD of an installed package above its libraries, and its version. */
const installedRecord = (libraries: string): { readonly version: string; readonly record: Wheel["record"] } | undefined => {
  const packages = path.resolve(libraries, "..", "..")
  const info = fs.readdirSync(packages).map((name) => [name, /^onnxruntime_gpu-(.+)\.dist-info$/.exec(name)?.[1]] as const).find(([, version]) => version !== undefined)
  if (info === undefined) return undefined
  return { version: info[1]!, record: parseRecord(fs.readFileSync(path.join(packages, info[0], "RECORD"), "utf8")) }
}

const fromFolder = (folder: string, home: ProviderHome): Effect.Effect<{ readonly source: string; readonly verified: boolean }, CudaInstallError> =>
  Effect.gen(function*() {
    const wheels = (yield* attempt(folder, () => fs.readdirSync(folder))).filter((name) => /^onnxruntime[-_]gpu-.*\.whl$/i.test(name))
    const wheel = wheels.find((name) => name.split("-")[1] === home.version) ?? wheels[0]
    if (wheel !== undefined) return yield* fromWheel(path.join(folder, wheel), home)
    const libraries = [folder, path.join(folder, "onnxruntime", "capi")].find((place) => providerFiles.every((file) => fs.existsSync(path.join(place, file))))
    if (libraries === undefined) {
      return yield* failure("not-found", folder, `it has neither a wheel of ${packageName} ${home.version} nor ${providerFiles.join(" and ")}`)
    }
    const installed = yield* attempt(folder, () => installedRecord(libraries))
    if (installed !== undefined && installed.version !== home.version) {
      return yield* failure("wrong-version", folder, `it is version ${installed.version}, onnxruntime-node is ${home.version}: they must be equal`)
    }
    if (installed === undefined && !(yield* attempt(folder, () => mentions(path.join(libraries, providerFiles[1]), home.version)))) {
      return yield* failure("wrong-version", folder, `${providerFiles[1]} is not of version ${home.version}, which onnxruntime-node has`)
    }
    const copy = async (name: string, to: string) => {
      const { meter, result } = makeMeter()
      await pipeline(fs.createReadStream(path.join(libraries, name)), meter, fs.createWriteStream(to, { mode: 0o755 }))
      return result()
    }
    yield* place(home, folder, copy, installed?.record)
    return { source: folder, verified: installed !== undefined }
  })

const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "glet-cuda-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/**
 * Installs the provider, and says what it still lacks. Does nothing where it is installed whole, with the right version.
 * @since 0.1.0
 * @category running
 */
export const install = (options: CudaInstallOptions = {}): Effect.Effect<CudaInstalled, CudaInstallError> =>
  Effect.scoped(Effect.gen(function*() {
    const { force = false, from, onProgress = () => undefined } = options
    if (process.platform !== "linux" || (process.arch !== "x64" && process.arch !== "arm64")) {
      return yield* failure("unsupported-platform", `${process.platform} ${process.arch}`, "CUDA is supported on Linux, x64 and arm64")
    }
    const home = options.home ?? (yield* attempt("onnxruntime-node", providerHome))
    const before = yield* providerState(home)
    const whole = before.installed && before.version === home.version && (yield* changedFiles(home)).length === 0
    if (!force && whole) return { state: before, wasThere: true, source: before.home.folder, verified: true }
    let installed
    if (from === undefined) {
      const folder = yield* temporaryFolder
      onProgress(`downloading ${packageName} ${home.version} (some 250 MB)`)
      const wheel = yield* download(home.version, folder)
      onProgress("unpacking and checking")
      installed = yield* fromWheel(wheel, home)
    } else {
      const stat = yield* attempt(from, () => fs.statSync(from))
      onProgress("unpacking and checking")
      installed = yield* stat.isDirectory() ? fromFolder(path.resolve(from), home) : fromWheel(path.resolve(from), home)
    }
    return { state: yield* providerState(home), wasThere: false, ...installed }
  }))

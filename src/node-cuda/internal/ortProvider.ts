/** ONNX Runtime's CUDA provider: two libraries that stand beside onnxruntime-node's libonnxruntime, of its exact version. */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { pipeline } from "node:stream/promises"
import type { LibrarySearch } from "./cudaLibraries.js"
import { findLibraries } from "./cudaLibraries.js"
import { runCommand } from "./runCommand.js"

/** Where the provider belongs. */
export interface ProviderHome {
  /** onnxruntime-node's version, which the provider must have. */
  readonly version: string
  /** The folder of its libonnxruntime. */
  readonly folder: string
}

export const providerFiles = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"] as const
const [, cudaFile] = providerFiles

/** What stands where it was installed from, so that it can be checked later without the wheel. */
export interface ProviderReceipt {
  readonly version: string
  readonly source: string
  /** SHA-256 of the files, hexadecimal, by name. */
  readonly sha256: Readonly<Record<string, string>>
}

export const receiptName = "libonnxruntime_providers.glet.json"

const readReceipt = (home: ProviderHome): ProviderReceipt | undefined => {
  try {
    return JSON.parse(fs.readFileSync(path.join(home.folder, receiptName), "utf8")) as ProviderReceipt
  } catch {
    return undefined
  }
}

/** Throws where onnxruntime-node is not installed. */
export const providerHome = (): ProviderHome => {
  const manifest = createRequire(import.meta.url).resolve("onnxruntime-node/package.json")
  const { version } = JSON.parse(fs.readFileSync(manifest, "utf8")) as { readonly version: string }
  const bin = path.join(path.dirname(manifest), "bin")
  const abi = fs.readdirSync(bin).find((name) => name.startsWith("napi-"))
  if (abi === undefined) throw new Error(`there is no napi-* folder in ${bin}`)
  return { version, folder: path.join(bin, abi, process.platform, process.arch) }
}

/** Whether a library has the version among its texts. */
export const mentions = async (file: string, version: string): Promise<boolean> => {
  const wanted = Buffer.from(`\0${version}\0`)
  let rest = Buffer.alloc(0)
  for await (const chunk of fs.createReadStream(file, { highWaterMark: 1 << 20 })) {
    const bytes = Buffer.concat([rest, chunk as Buffer])
    if (bytes.includes(wanted)) return true
    rest = bytes.subarray(Math.max(0, bytes.length - wanted.length))
  }
  return false
}

/** Files that are not those that the receipt tells of: cut short by a crash, or put there since. None where there is no receipt. */
export const changedFiles = (home: ProviderHome): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const receipt = readReceipt(home)
    if (receipt === undefined) return []
    const changed: Array<string> = []
    for (const file of providerFiles) {
      const hash = createHash("sha256")
      const isThere = await pipeline(fs.createReadStream(path.join(home.folder, file)), hash).then(() => true, () => false)
      if (!isThere || hash.digest("hex") !== receipt.sha256[file]) changed.push(file)
    }
    return changed
  })

/** How far the provider is from working. */
export interface ProviderState {
  readonly home: ProviderHome
  readonly installed: boolean
  /** The version that the receipt names; undefined where it was put there by hand. */
  readonly version: string | undefined
  /** What it needs and the loader does not find by itself: where it is. */
  readonly libraries: LibrarySearch
  /** Major versions that it is built for; undefined where that is not known. */
  readonly cudaMajor: number | undefined
  readonly cudnnMajor: number | undefined
}

/** Loaded when first used, so that no linker knows of them. `libcudnn.so.9`'s own parts stand beside it. */
const loadedLater = ["libcudnn.so.9"]

/** What the loader says of a library's needs: all names, and those it does not find. */
const linked = (file: string): Effect.Effect<{ readonly names: ReadonlyArray<string>; readonly missing: ReadonlyArray<string> }> =>
  runCommand("ldd", [file], { timeoutMs: 30_000 }).pipe(
    Effect.map(({ stdout }) => ({
      names: [...stdout.matchAll(/^\s*(\S+) =>/gm)].map((match) => match[1]!),
      missing: [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]!)
    })),
    Effect.catchAll(() => Effect.succeed({ names: [], missing: [] }))
  )

/** e.g. 13 for `libcudart.so.13`. */
const majorOf = (names: ReadonlyArray<string>, library: string): number | undefined => {
  const name = names.find((one) => one.startsWith(`${library}.so.`))
  return name === undefined ? undefined : Number.parseInt(name.slice(library.length + 4), 10)
}

/** Looks at the provider and at what it needs. */
export const providerState = (home: ProviderHome = providerHome()): Effect.Effect<ProviderState> =>
  Effect.gen(function*() {
    const installed = providerFiles.every((file) => fs.existsSync(path.join(home.folder, file)))
    const version = readReceipt(home)?.version
    const { missing, names } = installed ? yield* linked(path.join(home.folder, cudaFile)) : { names: [], missing: [] }
    const wanted = installed ? [...missing.filter((name) => name !== providerFiles[0]), ...loadedLater] : []
    const libraries = yield* findLibraries(wanted)
    return { home, installed, version, libraries, cudaMajor: majorOf(names, "libcudart"), cudnnMajor: majorOf(loadedLater, "libcudnn") }
  })

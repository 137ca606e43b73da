/**
 * Where this host keeps the shared libraries of CUDA and cuDNN. A runner finds them by LD_LIBRARY_PATH, which its agent sets: nobody has to
 * export anything. Searched: LD_LIBRARY_PATH, the loader's cache, the usual folders, and the `nvidia-*` packages of the Python on PATH.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { runCommand } from "./runCommand.js"

/** Libraries by name, where they were found. */
export interface LibrarySearch {
  readonly found: ReadonlyMap<string, string>
  readonly missing: ReadonlyArray<string>
  /** Folders that the loader does not search by itself, in order of precedence. */
  readonly folders: ReadonlyArray<string>
}

/** Folders of one level that match, e.g. `cuda-13.0` in `/usr/local` for `cuda-*`; newest version first. */
const expand = (pattern: string): ReadonlyArray<string> => {
  let folders = ["/"]
  for (const part of pattern.split("/").filter((name) => name !== "")) {
    if (!part.includes("*")) {
      folders = folders.map((folder) => path.join(folder, part))
      continue
    }
    const [before, after] = part.split("*") as [string, string]
    folders = folders.flatMap((folder) => {
      try {
        return fs.readdirSync(folder).filter((name) => name.startsWith(before) && name.endsWith(after))
          .sort((a, b) => b.localeCompare(a, "en", { numeric: true })).map((name) => path.join(folder, name))
      } catch {
        return []
      }
    })
  }
  return folders
}

const usualFolders = [
  "/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64", "/usr/local/cuda/targets/*/lib", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib",
  "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/opt/cuda/lib64", "/usr/lib/wsl/lib"
]

/** Folders of the `nvidia-*` packages of a Python: `<prefix>/lib/python3*.../nvidia/<package>/lib`. */
const pythonFolders = (env: NodeJS.ProcessEnv): ReadonlyArray<string> => {
  const prefixes = new Set<string>()
  for (const name of ["VIRTUAL_ENV", "CONDA_PREFIX"]) if (env[name] !== undefined && env[name] !== "") prefixes.add(env[name])
  for (const folder of (env["PATH"] ?? "").split(path.delimiter)) {
    if (path.isAbsolute(folder) && fs.existsSync(path.join(folder, "python3"))) prefixes.add(path.dirname(folder))
  }
  if (env["HOME"] !== undefined) prefixes.add(path.join(env["HOME"], ".local"))
  return [...prefixes].flatMap((prefix) => [
    ...["site-packages", "dist-packages"].flatMap((packages) => expand(path.join(prefix, "lib/python3*", packages, "nvidia/*/lib"))),
    path.join(prefix, "lib")
  ])
}

/** The loader's cache by name; empty where there is none. */
const loaderCache: Effect.Effect<ReadonlyMap<string, string>> = runCommand("ldconfig", ["-p"], {
  timeoutMs: 10_000, maxBytes: 8 << 20, env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` }
}).pipe(
  Effect.map(({ stdout }) => {
    const known = new Map<string, string>()
    for (const [, name, file] of stdout.matchAll(/^\s+(\S+) \(.*\) => (\S+)$/gm)) if (!known.has(name!)) known.set(name!, file!)
    return known
  }),
  Effect.catchAll(() => Effect.succeed(new Map<string, string>()))
)

/** Looks for libraries by their full names, e.g. `libcudart.so.13`. */
export const findLibraries = (names: ReadonlyArray<string>, env: NodeJS.ProcessEnv = process.env): Effect.Effect<LibrarySearch> =>
  Effect.map(loaderCache, (cache) => {
    const set = (env["LD_LIBRARY_PATH"] ?? "").split(":").filter((folder) => folder !== "")
    const others = [...usualFolders.flatMap(expand), ...pythonFolders(env)]
    const found = new Map<string, string>()
    const folders = new Set<string>()
    for (const name of names) {
      const own = set.find((folder) => fs.existsSync(path.join(folder, name)))
      const cached = cache.get(name)
      const other = own !== undefined || cached !== undefined ? undefined : others.find((folder) => fs.existsSync(path.join(folder, name)))
      if (own !== undefined) found.set(name, path.join(own, name))
      else if (cached !== undefined) found.set(name, cached)
      else if (other !== undefined) {
        found.set(name, path.join(other, name))
        folders.add(other)
      }
    }
    return { found, missing: names.filter((name) => !found.has(name)), folders: [...folders] }
  })

/** LD_LIBRARY_PATH with these folders after those that are set. */
export const libraryPath = (folders: ReadonlyArray<string>, env: NodeJS.ProcessEnv = process.env): string =>
  [...new Set([...(env["LD_LIBRARY_PATH"] ?? "").split(":"), ...folders])].filter((folder) => folder !== "").join(":")

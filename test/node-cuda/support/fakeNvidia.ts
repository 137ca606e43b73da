/**
 * A host with NVIDIA GPUs, faked: `nvidia-smi` and `nvidia-cuda-mps-control` as small scripts in a folder of their own that stands first on PATH,
 * and a runner that computes on the CPU but speaks of the GPU as the driver would. Daemon and server are real processes, so that their deaths are real.
 */
import { build } from "esbuild"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Probed } from "../../../src/node-cuda/runner/probe.js"

// Shell scripts: Node would take as long to start as all else that a test does.
const smiScript = (folder: string): string => `#!/bin/sh
PATH="$PATH:/usr/bin:/bin"
file=gpus.csv
[ "$1" = -L ] && file=list.txt
if [ -e "${folder}/smi-broken" ]; then cat "${folder}/smi-broken"; echo; exit 9; fi
exec cat "${folder}/$file"
`

// A daemon is a sleeping process; "control" stands for its socket, and files beside it for what it knows.
const mpsScript = (folder: string): string => `#!/bin/sh
PATH="$PATH:/usr/bin:/bin"
dir="\${CUDA_MPS_PIPE_DIRECTORY:-/tmp/nvidia-mps}"
calls="${folder}/calls.log"
# The first line of a file, where it is there.
read_first() { first=; [ -e "$1" ] && IFS= read -r first < "$1"; printf %s "$first"; }
alive() {
  [ -n "$1" ] && kill -0 "$1" 2> /dev/null && stat="$(cat "/proc/$1/stat" 2> /dev/null)" || return 1
  case "$stat" in *") Z "*) return 1 ;; esac
}
sleeper() { setsid sleep 600 < /dev/null > /dev/null 2>&1 & printf %s "$!" > "$dir/$1"; }
clients() { for file in "$dir"/clients/*; do if alive "\${file##*/}"; then echo "\${file##*/}"; fi; done; }
: >> "$calls"
if [ "$1" = -d ]; then
  echo "start $CUDA_VISIBLE_DEVICES" >> "$calls"
  if [ -e "${folder}/mps-broken" ]; then cp "${folder}/mps-broken" "$CUDA_MPS_LOG_DIRECTORY/control.log"; exit 1; fi
  [ -e "$dir/control" ] && exit 1
  mkdir -p "$dir/clients"
  sleeper nvidia-cuda-mps-control.pid
  sleeper server.pid
  : > "$dir/control"
  exit 0
fi
IFS= read -r line
daemon="$(read_first "$dir/nvidia-cuda-mps-control.pid")"
server="$(read_first "$dir/server.pid")"
if ! alive "$daemon"; then echo "Cannot find MPS control daemon process"; exit 1; fi
[ "$line" = get_server_list ] || echo "$line" >> "$calls"
case "$line" in
  get_server_list) if alive "$server"; then echo "$server"; fi ;;
  # As on an H200: the fault is over with its last client.
  "get_server_status "*)
    [ -n "$(clients)" ] || rm -f "$dir/status"
    status="$(read_first "$dir/status")"
    echo "\${status:-ACTIVE}" ;;
  "get_client_list "*) clients ;;
  "terminate_client "*) echo CUDA_SUCCESS ;;
  quit)
    kill -9 "$daemon" "$server" 2> /dev/null
    rm "$dir/control" "$dir/nvidia-cuda-mps-control.pid" ;;
esac
`

export interface FakeNvidia {
  readonly folder: string
  /** The fake's runner. */
  readonly runnerPath: string
  readonly setGpus: (lines: ReadonlyArray<string>, list?: string) => void
  /** What the driver says of a device, or of all. */
  readonly setProbe: (probed: Probed, uuid?: string) => void
  /** Commands that the MPS program got, `get_server_list` left out. */
  readonly calls: () => ReadonlyArray<string>
  /** Environment that a runner was started with. */
  readonly envOf: (pid: number) => NodeJS.ProcessEnv
  /** A file of a GPU's pipe directory. */
  readonly mpsFile: (uuid: string, name: string) => string
  /** A file that changes how the scripts behave; without a text it is removed. */
  readonly set: (name: string, text?: string) => void
  readonly close: () => void
}

export const h200 = "GPU-11111111-2222-3333-4444-555555555555"
export const h200Line = `0, ${h200}, NVIDIA H200, 580.159.04, 143771, 771, 25, 120.50, Default, Disabled`
export const h200Probe: Extract<Probed, { readonly ok: true }> = {
  ok: true, name: "NVIDIA H200", units: 132, memoryBytes: 150 * 10 ** 9, computeCapability: [9, 0], driverVersion: 13000, smGroups: 16
}

/** Puts the fake host in place; `close` takes it away again, with every process of it. */
export const fakeNvidia = async (): Promise<FakeNvidia> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-nv-"))
  const bin = path.join(folder, "bin")
  fs.mkdirSync(bin)
  fs.writeFileSync(path.join(bin, "nvidia-smi"), smiScript(folder), { mode: 0o755 })
  fs.writeFileSync(path.join(bin, "nvidia-cuda-mps-control"), mpsScript(folder), { mode: 0o755 })
  // Beside the dependencies, so that it finds them.
  const runnerPath = fileURLToPath(new URL(`../../../node_modules/.glet-test/fakeCudaRunner-${process.pid}.js`, import.meta.url))
  await build({
    entryPoints: [fileURLToPath(new URL("fakeCudaRunner.ts", import.meta.url))], outfile: runnerPath, bundle: true, platform: "node", format: "esm",
    target: "node20", external: ["koffi", "onnxruntime-node", "onnxruntime-common"], logLevel: "error"
  })
  const before = { ...process.env }
  process.env["PATH"] = `${bin}:${before["PATH"] ?? ""}`
  process.env["GLET_MPS_DIRECTORY"] = path.join(folder, "mps")
  process.env["GLET_FAKE_NVIDIA"] = folder
  delete process.env["CUDA_VISIBLE_DEVICES"]
  delete process.env["CUDA_MPS_PIPE_DIRECTORY"]
  const mpsFile = (uuid: string, name: string): string => path.join(folder, "mps", uuid, name)
  return {
    folder,
    runnerPath,
    setGpus: (lines, list = "") => {
      fs.writeFileSync(path.join(folder, "gpus.csv"), lines.map((line) => `${line}\n`).join(""))
      fs.writeFileSync(path.join(folder, "list.txt"), list)
    },
    setProbe: (probed, uuid) => fs.writeFileSync(path.join(folder, uuid === undefined ? "probe.json" : `probe-${uuid}.json`), JSON.stringify(probed)),
    calls: () => {
      try {
        return fs.readFileSync(path.join(folder, "calls.log"), "utf8").trim().split("\n").filter((line) => line !== "")
      } catch {
        return []
      }
    },
    envOf: (pid) => JSON.parse(fs.readFileSync(path.join(folder, `env-${pid}.json`), "utf8")) as NodeJS.ProcessEnv,
    mpsFile,
    set: (name, text) => {
      if (text === undefined) fs.rmSync(path.join(folder, name), { force: true })
      else fs.writeFileSync(path.join(folder, name), text)
    },
    close: () => {
      for (const uuid of fs.existsSync(path.join(folder, "mps")) ? fs.readdirSync(path.join(folder, "mps")) : []) {
        for (const name of ["nvidia-cuda-mps-control.pid", "server.pid"]) {
          try {
            process.kill(Number(fs.readFileSync(mpsFile(uuid, name), "utf8")), "SIGKILL")
          } catch {
            // It is gone, or was never there.
          }
        }
      }
      for (const name of Object.keys(process.env)) if (before[name] === undefined) delete process.env[name]
      Object.assign(process.env, before)
      fs.rmSync(folder, { recursive: true, force: true })
      fs.rmSync(runnerPath, { force: true })
    }
  }
}
